"""Outputs as nbformat 4.5 takes them, whatever a kernel sent.

Nothing here trusts its input, and nothing raises: what does not fit becomes text.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

from ..journal import DEPTH
from ..supervisor.runs import Output, fold_outputs

PICTURES = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/svg+xml": "svg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_JSON_MIME = re.compile(r"application/(.*\+)?json")
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
_LIMIT = 2**31


@dataclass(frozen=True)
class Picture:
    """``data`` is base64 without line breaks."""

    mime: str
    data: str

    @property
    def suffix(self) -> str:
        return PICTURES[self.mime]


def plain(value: Any, depth: int = 0) -> Any:
    """JSON that any writer bears: no lone surrogates, no NaN, keys are text, not too deep."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, (dict, list, tuple)) and depth > DEPTH:
        return "(nested too deeply)"
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {text(k): plain(v, depth + 1) for k, v in items}
    if isinstance(value, (list, tuple)):
        return [plain(v, depth + 1) for v in cast("list[Any]", value)]
    if isinstance(value, float):
        return value if -1e308 < value < 1e308 else None
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value) if value.bit_length() < 1000 else "(a huge integer)"
    return value if value is None or isinstance(value, (int, bool)) else text(value)


def text(value: Any) -> str:
    """A string as UTF-8 can hold it; other values as JSON."""
    if isinstance(value, str):
        # The common case costs nothing: CPython knows whether a string is ASCII.
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, (dict, list, tuple, int, float, type(None))):
        return json.dumps(plain(value), ensure_ascii=False)
    return text(str(value))


def mapping(value: Any) -> dict[str, Any]:
    """``value`` when it is a dict, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """``value`` when it is a list, else an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def count(value: Any) -> int | None:
    """An execution count, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LIMIT else None


def valid_output(item: Any) -> Output:
    """One output of the journal in a form that `fold_outputs` and nbformat take; a display id stays under ``transient``."""
    item = mapping(item)
    kind = item.get("output_type")
    if kind == "stream":
        name = item.get("name")
        return {
            "output_type": "stream",
            "name": text(name) if isinstance(name, str) else "stdout",
            "text": _joined(item.get("text", "")),
        }
    if kind == "error":
        return {
            "output_type": "error",
            "ename": text(item.get("ename", "")),
            "evalue": text(item.get("evalue", "")),
            "traceback": [text(line) for line in sequence(item.get("traceback"))],
        }
    if kind == "clear_output":
        return {"output_type": "clear_output", "wait": bool(item.get("wait"))}
    if kind in ("display_data", "execute_result", "update_display_data"):
        return _display(kind, item)
    return {"output_type": "display_data", "data": {"text/plain": text(item)}, "metadata": {}}


def _display(kind: str, item: dict[str, Any]) -> Output:
    output: Output = {
        "output_type": kind,
        "data": mime_bundle(mapping(item.get("data"))),
        "metadata": plain(mapping(item.get("metadata"))),
    }
    if kind == "execute_result":
        output["execution_count"] = count(item.get("execution_count"))
    display_id = mapping(item.get("transient")).get("display_id")
    if isinstance(display_id, str):
        output["transient"] = {"display_id": display_id}
    return output


def mime_bundle(data: Mapping[Any, Any]) -> dict[str, Any]:
    """Data by mime type as nbformat takes it: JSON as it is, all else as one text."""
    bundle: dict[str, Any] = {}
    for key, value in data.items():
        # A line break in a key is read differently by nbformat's two validators.
        mime = "".join(text(key).split())
        bundle[mime] = plain(value) if _JSON_MIME.fullmatch(mime) else _joined(value)
    return bundle


def _joined(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(v, str) for v in cast("list[Any]", value)):
        return text("".join(cast("list[str]", value)))
    return text(value)


def notebook_outputs(items: Iterable[Output]) -> list[Output]:
    """Outputs of `valid_output` as a notebook holds them: streams joined, clears applied, display ids dropped."""
    return [{k: v for k, v in output.items() if k != "transient"} for output in fold_outputs(_joined_streams(items))]


def _joined_streams(items: Iterable[Output]) -> Iterator[Output]:
    """One item for each stretch of one stream: joining them pairwise would cost the square of their number."""
    for name, group in groupby(items, lambda o: o["name"] if o["output_type"] == "stream" else None):
        if name is None:
            yield from group
        else:
            yield {"output_type": "stream", "name": name, "text": "".join(o["text"] for o in group)}


def without_escapes(value: str) -> str:
    """Text without the terminal's colours and cursor movements."""
    return _ESCAPES.sub("", value)


def pictures(outputs: Iterable[Mapping[str, Any]]) -> Iterator[Picture]:
    """The best picture of each output that has one: vector before raster."""
    for output in outputs:
        if picture := picture_of(mapping(output.get("data"))):
            yield picture


def picture_of(data: Mapping[str, Any], *, encoded: bool = False) -> Picture | None:
    """The picture in a mime bundle; None when there is none, or its base64 is none.

    With ``encoded`` an SVG is base64 too, as it is in a cell's attachments.
    """
    for mime in ("image/svg+xml", *PICTURES):
        if mime not in data:
            continue
        content = _joined(data[mime])
        if mime == "image/svg+xml" and not encoded:
            return Picture(mime, base64.b64encode(content.encode()).decode())
        content = "".join(content.split())
        if content and _is_base64(content):
            return Picture(mime, content)
    return None


def _is_base64(content: str) -> bool:
    try:
        base64.b64decode(content, validate=True)
    except ValueError:
        return False
    return True
