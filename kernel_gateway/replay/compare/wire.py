"""How pairs of cells go into the sandbox and verdicts come out: one line of JSON, then the bytes of files; one line of JSON a verdict."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from .model import TOLD_CHANGES, VERDICTS, Cell, Change, Excerpt, Options, Part, Reference, Verdict

# More than the comparer ever writes; what is beyond was not written by it.
_TEXT, _ROWS, _PICTURE_BYTES = 4000, 60, 4_000_000
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Pair:
    """A recorded cell and its re-run; with ``second`` what is new in each run is told from what changed."""

    recorded: Cell
    again: Cell
    second: Cell | None = None


@dataclass(frozen=True)
class Request:
    """``seconds`` is for all, ``item_seconds`` for one output or file."""

    pairs: Sequence[Pair]
    options: Options
    seconds: float
    item_seconds: float


class Malformed(ValueError):
    """An answer that the comparer would not give."""


def pack(request: Request) -> bytes:
    blobs: list[bytes] = []
    pairs = [[_cell_to_json(c, blobs) for c in (p.recorded, p.again, p.second)] for p in request.pairs]
    head = {
        "options": asdict(request.options),
        "pairs": pairs,
        "sizes": [len(b) for b in blobs],
        "seconds": request.seconds,
        "item_seconds": request.item_seconds,
    }
    return b"\n".join([json.dumps(head).encode(), b"".join(blobs)])


def unpack(data: bytes) -> Request:
    line, _, rest = data.partition(b"\n")
    head = json.loads(line)
    blobs: list[bytes] = []
    at = 0
    for size in head["sizes"]:
        blobs.append(rest[at : at + size])
        at += size
    options = Options(**head["options"])
    options = replace(options, workspaces=tuple(options.workspaces))
    pairs = [Pair(*(_cell_from_json(c, blobs) for c in trio)) for trio in head["pairs"]]  # type: ignore[arg-type]
    return Request(pairs, options, head["seconds"], head["item_seconds"])


def _cell_to_json(cell: Cell | None, blobs: list[bytes]) -> dict[str, Any] | None:
    if cell is None:
        return None
    files: dict[str, Any] = {}
    for path, content in cell.files.items():
        if isinstance(content, Reference):
            files[path] = asdict(content)
        else:
            files[path] = len(blobs)
            blobs.append(content)
    # The source is not needed to compare.
    return {
        "outputs": list(cell.outputs),
        "exit": cell.exit,
        "ename": cell.ename,
        "evalue": cell.evalue,
        "files": files,
    }


def _cell_from_json(value: dict[str, Any] | None, blobs: Sequence[bytes]) -> Cell | None:
    if value is None:
        return None
    files = {p: blobs[c] if isinstance(c, int) else Reference(**c) for p, c in value["files"].items()}
    return Cell("", value["outputs"], value["exit"], value["ename"], value["evalue"], files)


def part_to_json(part: Part) -> dict[str, Any]:
    """A part as JSON; the picture in base64."""
    value = asdict(part)
    value["picture"] = None if part.picture is None else base64.b64encode(part.picture).decode()
    return value


def part_from_json(value: Any) -> Part:
    """A part out of an answer that is not trusted: of the right types, and bounded. Raises Malformed."""
    if not isinstance(value, dict) or value.get("verdict") not in VERDICTS:
        raise Malformed("no verdict")
    one = cast("dict[str, Any]", value)
    places = [p if isinstance(p, int) else None for p in _sequence(one.get("places"))]
    return Part(
        where=_text(one.get("where")),
        kind=_text(one.get("kind")),
        verdict=cast(Verdict, one["verdict"]),
        reason=_text(one.get("reason")),
        changes=tuple(_change(c) for c in _sequence(one.get("changes"))[:TOLD_CHANGES]),
        numbers=_numbers(one.get("numbers")),
        picture=_picture(one.get("picture")),
        excerpt=_excerpt(one.get("excerpt")),
        path=_text(one.get("path")),
        places=(places[0], places[1]) if len(places) == 2 else (None, None),
    )


def _text(value: Any) -> str:
    """Printable, on lines, and not too long."""
    text = value if isinstance(value, str) else ""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text[:_TEXT])


def _sequence(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _side(value: Any) -> str | None:
    return None if value is None else _text(value)


def _change(value: Any) -> Change:
    one = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    return Change(
        _text(one.get("where")), _side(one.get("before")), _side(one.get("after")), one.get("is_close") is True
    )


def _numbers(value: Any) -> Mapping[str, float]:
    items: Iterable[tuple[Any, Any]] = cast("dict[Any, Any]", value).items() if isinstance(value, dict) else ()
    return {_text(k): float(v) for k, v in [*items][:20] if isinstance(v, (int, float)) and math.isfinite(v)}


def _picture(value: Any) -> bytes | None:
    if not isinstance(value, str) or len(value) > _PICTURE_BYTES:
        return None
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if data.startswith(_PNG) else None


def _excerpt(value: Any) -> Excerpt | None:
    if not isinstance(value, dict):
        return None
    one = cast("dict[str, Any]", value)
    head = tuple(_text(h) for h in _sequence(one.get("head"))[:_ROWS])
    return Excerpt(head, tuple(_row(r) for r in _sequence(one.get("rows"))[:_ROWS]))


def _row(value: Any) -> tuple[str, tuple[tuple[str | None, str | None], ...]]:
    label, cells, *_ = [*_sequence(value), "", []]
    pairs = [[*_sequence(p), None, None] for p in _sequence(cells)[:_ROWS]]
    return _text(label), tuple((_side(p[0]), _side(p[1])) for p in pairs)
