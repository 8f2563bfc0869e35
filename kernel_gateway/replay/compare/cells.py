"""One cell: what of it stands against what, and the verdict on each pair."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from . import files, markup, structure, text, vector
from .model import (
    SAME,
    TOLD_CHANGES,
    Cell,
    CellVerdict,
    Change,
    Finding,
    Options,
    Part,
    Reference,
    Unreadable,
    from_changes,
    shown,
    worst,
)
from .text import blocks, paired

_STREAMS = ("stdout", "stderr")
_RASTER = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp")
# What people look at comes first, and the plain text that stands in for it last.
_ORDER = (*_RASTER, "image/svg+xml", "text/html")
_LAST = ("text/latex", "text/markdown", "text/plain")
_DISPLAYS = ("display_data", "execute_result")
_FIGURES = ("application/vnd.plotly", "application/vnd.jupyter.widget", "application/vnd.bokeh")

Kind = Literal["end", "stream", "error", "picture", "svg", "html", "json", "text", "file", "output"]


@dataclass(frozen=True)
class Item:
    """One thing to be compared; None on a side: it is not there. ``key`` names it within the second cell, or is unique."""

    key: str
    where: str
    kind: Kind
    before: Any
    after: Any
    path: str = ""
    places: tuple[int | None, int | None] = (None, None)


def compare_cell(recorded: Cell, again: Cell, options: Options | None = None) -> CellVerdict:
    """The verdict on a cell: that of its worst part."""
    options = options or Options()
    return cell_verdict(recorded, again, [judge(item, options) for item in items(recorded, again)])


def cell_verdict(recorded: Cell, again: Cell, parts: Sequence[Part]) -> CellVerdict:
    return CellVerdict(
        worst(p.verdict for p in parts), tuple(parts), recorded.source, raised(again), tuple(recorded.files)
    )


def raised(cell: Cell) -> str:
    """The error a cell ended with, in one line; empty when it ended well."""
    if cell.exit is None or _outcome(cell) == "ok":
        return ""
    name, value = _error(cell)
    return shown(f"{name}: {value}" if value else name or str(cell.exit), 300)


def _error(cell: Cell) -> tuple[str, str]:
    for output in cell.outputs:
        if output.get("output_type") == "error":
            return str(output.get("ename", "")), str(output.get("evalue", ""))
    return cell.ename, cell.evalue


def items(recorded: Cell, again: Cell) -> list[Item]:
    """What is to be compared, in the order in which it is told: how the cell ended, its outputs, streams and files."""
    if again.exit is None:
        return [Item("end", "the cell", "end", recorded, again)] if recorded.exit is not None else []
    found = [Item("end", "how it ended", "end", recorded, again)]
    found += _outputs(recorded.outputs, again.outputs)
    for name in _STREAMS:
        before, after = _stream(recorded, name), _stream(again, name)
        if before or after:
            found.append(Item(name, name, "stream", before, after))
    for path in sorted(recorded.files.keys() | again.files.keys()):
        found.append(Item(f"file {path}", path, "file", recorded.files.get(path), again.files.get(path), path))
    return found


def _stream(cell: Cell, name: str) -> str:
    """All of a stream: how a kernel cuts it into messages is chance."""
    texts = (o.get("text", "") for o in cell.outputs if o.get("output_type") == "stream" and o.get("name") == name)
    return "".join(t if isinstance(t, str) else "".join(t) for t in texts)


def _outputs(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Iterator[Item]:
    a, b = ([(n, o) for n, o in enumerate(side) if o.get("output_type") in _DISPLAYS] for side in (before, after))
    one, two = ([_identity(o) for _, o in side] for side in (a, b))
    for left, right in _aligned(one, two):
        x, y = None if left is None else a[left], None if right is None else b[right]
        yield from _bundle(x, y)


def _aligned(one: Sequence[tuple[str, str]], two: Sequence[tuple[str, str]]) -> Iterator[tuple[int | None, int | None]]:
    """Equal outputs against each other; between them those of one kind, and the rest alone."""
    at = 0
    for a0, a1, b0, b1 in [*blocks(one, two), (len(one), len(one), len(two), len(two))]:
        yield from ((a0 - n, b0 - n) for n in range(b0 - at, 0, -1))
        kinds = [i[1] for i in one[a0:a1]], [i[1] for i in two[b0:b1]]
        yield from _by_kind(*kinds, a0, b0)
        at = b1


def _by_kind(a: list[str], b: list[str], a0: int, b0: int) -> Iterator[tuple[int | None, int | None]]:
    if len(a) == len(b):
        yield from ((a0 + n, b0 + n) for n in range(len(a)))
        return
    i = j = 0
    for c0, c1, d0, d1 in [*blocks(a, b), (len(a), len(a), len(b), len(b))]:
        while i < c0:
            yield (a0 + i, b0 + j)
            i, j = i + 1, j + 1
        for left, right in paired((c0, c1, d0, d1)):
            yield (None if left is None else a0 + left, None if right is None else b0 + right)
        i, j = c1, d1


def _identity(output: Mapping[str, Any]) -> tuple[str, str]:
    data = output.get("data") or {}
    whole = json.dumps(data, sort_keys=True, default=str)
    return hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest(), ",".join(sorted(data))


def _bundle(x: tuple[int, Mapping[str, Any]] | None, y: tuple[int, Mapping[str, Any]] | None) -> Iterator[Item]:
    places = None if x is None else x[0], None if y is None else y[0]
    number = (places[1] if places[0] is None else places[0]) or 0
    name = f"output {number + 1}"
    key = f"output {places[1]}" if y is not None else f"gone {places[0]}"
    if x is None or y is None:
        yield Item(key, name, "output", x and x[1], y and y[1], places=places)
        return
    a, b = x[1].get("data") or {}, y[1].get("data") or {}
    for mime in sorted(a.keys() | b.keys(), key=_rank):
        yield Item(f"{key} {mime}", f"{name}, {_word(mime)}", _kind(mime), a.get(mime), b.get(mime), places=places)
    one, two = (_shown_size(o[1]) for o in (x, y))
    if one != two:
        yield Item(f"{key} size", f"{name}, size on the page", "json", one, two, places=places)


def _shown_size(output: Mapping[str, Any]) -> dict[str, Any]:
    """Of the metadata only this shows; the rest changes with versions of the libraries."""
    metadata = output.get("metadata") or {}
    sizes = {mime: m for mime, m in metadata.items() if isinstance(m, Mapping) and mime in _RASTER}
    return {
        mime: {k: m[k] for k in ("width", "height") if k in m}
        for mime, m in sizes.items()
        if "width" in m or "height" in m
    }


def _rank(mime: str) -> tuple[int, str]:
    if mime in _ORDER:
        return _ORDER.index(mime), mime
    return (100 + _LAST.index(mime) if mime in _LAST else 50), mime


def _kind(mime: str) -> Kind:
    if mime in _RASTER:
        return "picture"
    if mime == "image/svg+xml":
        return "svg"
    if mime == "text/html":
        return "html"
    return "json" if mime.endswith("json") else "text"


def _word(mime: str) -> str:
    known = {
        "image/png": "picture",
        "image/jpeg": "picture",
        "image/svg+xml": "SVG",
        "text/html": "HTML",
        "text/plain": "text",
    }
    return known.get(mime, mime.removeprefix("application/vnd.").removesuffix("+json"))


def judge(item: Item, options: Options) -> Part:
    """The verdict on one item, with the changes that are told."""
    return part(item, finding(item, options))


def part(item: Item, found: Finding) -> Part:
    kind = files.kind_of(item.path, item.after) if item.kind == "file" and isinstance(item.after, bytes) else item.kind
    told = tuple(replace(c, before=_told(c.before), after=_told(c.after)) for c in found.changes[:TOLD_CHANGES])
    return Part(
        item.where,
        kind,
        found.verdict,
        found.reason,
        told,
        found.numbers,
        found.picture,
        found.excerpt,
        item.path,
        item.places,
    )


def _told(value: str | None) -> str | None:
    return value if value is None or len(value) <= 500 else f"{value[:499]}…"


def finding(item: Item, options: Options) -> Finding:
    """With all changes that were found."""
    if item.kind == "end":
        return _compare_ends(item.before, item.after, options)
    if item.kind == "stream":
        return _compare_streams(item, options)
    if item.before is None or item.after is None:
        return _alone(item)
    if item.kind == "file":
        return files.compare(item.path, item.before, item.after, options)
    return _compare_data(item, options)


def _compare_streams(item: Item, options: Options) -> Finding:
    if not item.after.strip():
        return Finding("missing", f"printed before, nothing now: {shown(item.before)}") if item.before.strip() else SAME
    if not item.before.strip():
        return Finding("differs", f"nothing before, now {shown(item.after)}", (Change("text", None, item.after),))
    return text.compare(item.before, item.after, options)


def _alone(item: Item) -> Finding:
    thing = "the file" if item.kind == "file" else "it"
    if item.after is None:
        return Finding("missing", f"{thing} was there and is not there now ({_summary(item.before)})")
    return Finding("differs", f"{thing} was not there ({_summary(item.after)})")


def _summary(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, Reference):
        return f"{value.size:,} bytes"
    if isinstance(value, Mapping):
        data: Any = value.get("data") or {}
        return shown(str(data.get("text/plain", ", ".join(data))), 60)
    return shown(str(value), 60)


def _compare_data(item: Item, options: Options) -> Finding:
    before, after = item.before, item.after
    if item.kind == "json":
        is_figure = item.key.partition(" application/")[2].startswith(
            tuple(f.removeprefix("application/") for f in _FIGURES)
        )
        return structure.compare(before, after, options, structure.RANDOM_KEYS if is_figure else ())
    if item.kind == "picture":
        return _compare_pictures(str(before), str(after), options)
    compare = {"svg": vector.compare, "html": markup.compare}.get(item.kind, text.compare)
    return compare(str(before), str(after), options)


def _compare_pictures(before: str, after: str, options: Options) -> Finding:
    # Needs what only the image has for certain.
    from . import pictures

    try:
        a, b = (base64.b64decode("".join(t.split()), validate=True) for t in (before, after))
        return pictures.compare(a, b, options)
    except (binascii.Error, Unreadable) as error:
        return Finding("differs", f"other bytes, and {error}")


def _compare_ends(recorded: Cell, again: Cell, options: Options) -> Finding:
    if again.exit is None:
        return Finding("missing", "it was not run")
    before, after = _outcome(recorded), _outcome(again)
    if before == after == "ok":
        return SAME
    if before == after == "error":
        return _compare_errors(_error(recorded), _error(again), options)
    if after == "ok":
        return Finding("differs", f"it ends well now; before: {raised(recorded)}")
    if before == after:
        return SAME
    before_words = f"; before: {raised(recorded)}" if before != "ok" else ""
    return Finding("error", f"{raised(again)}{before_words}")


def _outcome(cell: Cell) -> str:
    """A foreign notebook says how a cell ended by its outputs alone."""
    if cell.exit == "ok" and any(o.get("output_type") == "error" for o in cell.outputs):
        return "error"
    return cell.exit or "ok"


def _compare_errors(before: tuple[str, str], after: tuple[str, str], options: Options) -> Finding:
    """By type and message; the traceback's frames change with every version of a library."""
    if before[0] != after[0]:
        return Finding("error", f"another error: {shown(': '.join(before))} → {shown(': '.join(after))}")
    found = text.compare(before[1], after[1], options)
    changes = [Change(f"message of {after[0]}", c.before, c.after, c.is_close) for c in found.changes]
    return from_changes(changes, found.excerpt)
