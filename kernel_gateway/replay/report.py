"""A verdict as one page to send to somebody: what was recorded and what came of it side by side, with pictures.

Nothing of what cells made can act in it: texts are escaped, pictures are data of an ``img``, there is no script, and the page's policy
allows none, nor any request.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape

from .compare.model import VERDICTS, Cell, CellVerdict, Change, Excerpt, Part, Reference
from .compare.wire import Pair
from .verdict import NotebookVerdict

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
# Of all pictures in one page, in bytes; further ones are named, not shown.
PICTURE_BYTES = 40_000_000
_MIMES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
_SUFFIXES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "svg": "image/svg+xml",
}
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_WORDS = re.compile(r"\w+(?:\.\d+)?|\s+|[^\w\s]")


@dataclass(frozen=True)
class Picture:
    """``address`` is a data URL, or empty where there is nothing to show; ``name`` says what it is."""

    name: str
    address: str
    missing: str = ""


@dataclass(frozen=True)
class Line:
    """A line or a table's row beside what became of it: cells as marked-up texts, None where there is none on that side."""

    label: str
    before: tuple[Markup | None, ...]
    after: tuple[Markup | None, ...]
    is_changed: tuple[bool, ...]

    @property
    def differs(self) -> bool:
        return any(self.is_changed)


@dataclass(frozen=True)
class ShownPart:
    part: Part
    pictures: list[Picture] = field(default_factory=list[Picture])
    head: tuple[str, ...] = ()
    lines: list[Line] = field(default_factory=list[Line])
    changes: list[tuple[str, Markup, Markup]] = field(default_factory=list[tuple[str, Markup, Markup]])


@dataclass(frozen=True)
class ShownCell:
    number: int
    verdict: CellVerdict
    source: str
    summary: str
    is_cause: bool
    follows: str
    parts: list[ShownPart]
    # How many of its parts are the same.
    same: int


def page(verdict: NotebookVerdict, pairs: Sequence[Pair], title: str, facts: Mapping[str, str] | None = None) -> str:
    """The page of a verdict; ``pairs`` are the cells that were compared, in the same order. ``facts`` stand below the title."""
    environment = Environment(
        loader=PackageLoader("kernel_gateway.replay"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    cells = list(_cells(verdict, pairs, _Pictures()))
    return environment.get_template("verdict.html.j2").render(
        title=title,
        policy=POLICY,
        facts=facts or {},
        verdict=verdict,
        counts=[(v, verdict.counts[v]) for v in VERDICTS if verdict.counts.get(v)],
        cells=cells,
        blocks=list(_blocks(cells)),
        tone="bad" if verdict.exit_code else "good",
    )


def _cells(verdict: NotebookVerdict, pairs: Sequence[Pair], pictures: _Pictures) -> Iterator[ShownCell]:
    for number, found, pair in zip(verdict.numbers, verdict.cells, pairs, strict=True):
        follows = verdict.follows.get(number)
        source = pair.recorded.source.strip("\n")
        yield ShownCell(
            number,
            found,
            source,
            _summary(source),
            number == verdict.cause,
            follows.words() if follows else "",
            [_part(p, pair, pictures) for p in found.parts if p.verdict != "same"],
            sum(p.verdict == "same" for p in found.parts),
        )


def _summary(source: str) -> str:
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    first = next(
        (line for line in lines if not line.startswith(("import ", "from ", "#"))), lines[0] if lines else "(empty)"
    )
    return first if len(first) <= 110 else f"{first[:109]}…"


def _blocks(cells: Sequence[ShownCell]) -> Iterator[tuple[str, list[ShownCell]]]:
    """Cells that are the same are one block, however many; each other one is a block."""
    for is_same, group in groupby(cells, lambda c: c.verdict.verdict == "same"):
        if is_same:
            yield "same", list(group)
        else:
            yield from (("cell", [c]) for c in group)


def _part(part: Part, pair: Pair, pictures: _Pictures) -> ShownPart:
    shown = pictures.of(part, pair)
    head, lines = _lines(part.excerpt) if part.excerpt is not None else ((), [])
    changes = [] if lines else [_change(c) for c in part.changes]
    return ShownPart(part, shown, head, lines, changes)


def _change(change: Change) -> tuple[str, Markup, Markup]:
    before, after = marked(change.before, change.after)
    return change.where, before or Markup("<i>not there</i>"), after or Markup("<i>not there</i>")


def _lines(excerpt: Excerpt) -> tuple[tuple[str, ...], list[Line]]:
    lines: list[Line] = []
    for label, pairs in excerpt.rows:
        both = [marked(a, b) for a, b in pairs]
        changed = tuple(a != b for a, b in pairs)
        lines.append(Line(label, tuple(b[0] for b in both), tuple(b[1] for b in both), changed))
    return excerpt.head, lines


def marked(before: str | None, after: str | None) -> tuple[Markup | None, Markup | None]:
    """Both texts escaped, with the words that differ marked."""
    if before is None or after is None or before == after:
        return None if before is None else escape(before), None if after is None else escape(after)
    a, b = _WORDS.findall(before), _WORDS.findall(after)
    left, right = Markup(), Markup()
    for tag, a0, a1, b0, b1 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        x, y = escape("".join(a[a0:a1])), escape("".join(b[b0:b1]))
        left += x if tag == "equal" else Markup("<del>{}</del>").format(x) if x else x
        right += y if tag == "equal" else Markup("<ins>{}</ins>").format(y) if y else y
    return left, right


class _Pictures:
    """What can be shown of a part's two sides, up to `PICTURE_BYTES` for the page."""

    def __init__(self) -> None:
        self._left = PICTURE_BYTES

    def of(self, part: Part, pair: Pair) -> list[Picture]:
        sides = [
            Picture(name, self._fitting(self._address(part, cell, place)), "not there")
            for name, cell, place in (
                ("recorded", pair.recorded, part.places[0]),
                ("again", pair.again, part.places[1]),
            )
        ]
        if not any(p.address for p in sides) and part.picture is None:
            return []
        if part.picture is not None:
            sides.append(
                Picture("difference", self._fitting(_data("image/png", base64.b64encode(part.picture).decode())))
            )
        return sides

    def _fitting(self, address: str) -> str:
        self._left -= len(address)
        return address if self._left >= 0 else ""

    def _address(self, part: Part, cell: Cell, place: int | None) -> str:
        if part.path:
            return _of_file(part.path, cell.files.get(part.path))
        if place is None or place >= len(cell.outputs) or part.kind not in ("picture", "svg", "output"):
            return ""
        data: Any = cell.outputs[place].get("data") or {}
        mimes = ["image/svg+xml"] if part.kind == "svg" else _MIMES
        return next((_of_output(mime, data[mime]) for mime in mimes if mime in data), "")


def _of_output(mime: str, content: Any) -> str:
    text = content if isinstance(content, str) else "".join(content)
    if mime == "image/svg+xml":
        return _data(mime, base64.b64encode(text.encode("utf-8", "replace")).decode())
    return _data(mime, "".join(text.split()))


def _of_file(path: str, content: bytes | Reference | None) -> str:
    mime = _SUFFIXES.get(PurePosixPath(path).suffix[1:].lower())
    if mime is None or not isinstance(content, bytes):
        return ""
    return _data(mime, base64.b64encode(content).decode())


def _data(mime: str, encoded: str) -> str:
    try:
        binascii.a2b_base64(encoded[:400])
    except binascii.Error:
        return ""
    return f"data:{mime};base64,{encoded}" if _BASE64.fullmatch(encoded) else ""
