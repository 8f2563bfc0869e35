"""JSON by structure: plotly and vega figures, GeoJSON, any value."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Collection, Iterator
from typing import Any, cast

from .model import KEPT_CHANGES, SAME, Change, Finding, Options, from_changes
from .numbers import compare_values

# Names of things that are new in each run and are shown nowhere.
RANDOM_KEYS = frozenset({"uid", "model_id", "comm_id"})
_FORMATS = {
    "f8": "d",
    "f4": "f",
    "i1": "b",
    "u1": "B",
    "i2": "h",
    "u2": "H",
    "i4": "i",
    "u4": "I",
    "i8": "q",
    "u8": "Q",
}


def compare(before: Any, after: Any, options: Options, ignored: Collection[str] = ()) -> Finding:
    """Two values of parsed JSON; numbers by tolerance, order of keys aside. ``ignored`` keys count nowhere."""
    if canonical(before) == canonical(after):
        return SAME
    found: list[Change] = []
    for change in _walk(before, after, ignored, options):
        found.append(change)
        if len(found) >= KEPT_CHANGES:
            break
    return from_changes(found)


def canonical(value: Any) -> str:
    """One text for one value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def _walk(a: Any, b: Any, ignored: Collection[str], options: Options) -> Iterator[Change]:
    """Without recursion: what a kernel sent may be nested deeply."""
    todo: list[tuple[Any, Any, str]] = [(a, b, "")]
    while todo:
        x, y, place = todo.pop()
        if isinstance(x, dict) and isinstance(y, dict):
            x, y = _unpacked(x), _unpacked(y)
        if isinstance(x, dict) and isinstance(y, dict):
            left, right = cast("dict[str, Any]", x), cast("dict[str, Any]", y)
            yield from _keys(left, right, place, ignored)
            both = [k for k in left if k in right and k not in ignored]
            todo += [(left[k], right[k], f"{place}.{k}" if place else k) for k in reversed(both)]
        elif isinstance(x, list) and isinstance(y, list):
            one, two = cast("list[Any]", x), cast("list[Any]", y)
            if len(one) != len(two):
                yield Change(f"{place or 'the list'}, length", str(len(one)), str(len(two)))
            todo += [(p, q, f"{place}[{i}]") for i, (p, q) in reversed(list(enumerate(zip(one, two, strict=False))))]
        elif (verdict := compare_values(x, y, options)) != "same":
            yield Change(place or "the value", _written(x), _written(y), verdict == "close")


def _keys(a: dict[str, Any], b: dict[str, Any], place: str, ignored: Collection[str]) -> Iterator[Change]:
    dot = f"{place}." if place else ""
    yield from (Change(f"{dot}{k}", _written(v), None) for k, v in a.items() if k not in b and k not in ignored)
    yield from (Change(f"{dot}{k}", None, _written(v)) for k, v in b.items() if k not in a and k not in ignored)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)[:2000]


def _unpacked(value: dict[Any, Any]) -> Any:
    """plotly's typed arrays, ``{"dtype": "f8", "bdata": …}``, as lists."""
    code = _FORMATS.get(str(value.get("dtype")))
    if code is None or not isinstance(value.get("bdata"), str):
        return value
    try:
        data = base64.b64decode(value["bdata"], validate=True)
        numbers = list(struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data))
    except (binascii.Error, struct.error):
        return value
    return {"dtype": value["dtype"], "values": numbers, "shape": value.get("shape")}
