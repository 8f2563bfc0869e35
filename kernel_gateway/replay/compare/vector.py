"""SVG and other XML as a sequence of tags, attributes and texts. No entity is ever expanded."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from xml.parsers import expat

from .model import Change, Finding, Options, Unreadable, from_changes
from .normal import Names
from .numbers import NUMBER, compare_words
from .text import blocks, paired

_STYLE_SPACE = re.compile(r"\s+")
# Where a program says when and by what it wrote the file.
SVG_SKIPPED = frozenset({"metadata"})


def compare(before: str, after: str, options: Options) -> Finding:
    """Two SVG pictures: ids renamed by order of appearance, their dates left out."""
    try:
        a, b = (words(t.encode("utf-8", "replace"), skipped=SVG_SKIPPED, rename=True) for t in (before, after))
    except Unreadable as error:
        return Finding("error" if before != after else "same", str(error))
    return from_changes(list(changes(a, b, options)))


def words(
    data: bytes, *, skipped: Collection[str] = (), rename: bool = False, ignored: Collection[str] = ()
) -> list[tuple[str, str]]:
    """Pairs of place and word: ``("path d", "M 1 2")``, ``("text", "Title")``, in order.

    ``skipped`` elements are left out with all that is in them, ``ignored`` attributes alone; names are without prefix.
    """
    names = Names()
    if rename:
        for place, value in _read(data, skipped, ignored):
            if place.endswith(" id"):
                names.define(value)
    found = _read(data, skipped, ignored)
    return [(place, names.replaced(value) if _refers(place, value) else value) for place, value in found]


def _refers(place: str, value: str) -> bool:
    return "#" in value or place.endswith((" id", " clip-path", " style")) or place.startswith("style")


def _read(data: bytes, skipped: Collection[str], ignored: Collection[str]) -> list[tuple[str, str]]:
    reader = _Reader(skipped, ignored)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.ordered_attributes = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Unreadable(f"not XML: {error}") from None
    return reader.found


def _refuse(*_: object) -> None:
    raise Unreadable("it declares entities")


class _Reader:
    def __init__(self, skipped: Collection[str], ignored: Collection[str]) -> None:
        self.found: list[tuple[str, str]] = []
        self._skipped, self._ignored = skipped, ignored
        self._open: list[str] = []
        # How deep inside an element that is left out.
        self._out = 0

    def start(self, name: str, attributes: list[str]) -> None:
        local = name.rpartition(":")[2]
        self._open.append(local)
        if self._out or local in self._skipped:
            self._out += 1
            return
        self.found.append((local, f"<{local}>"))
        pairs = sorted(zip(attributes[::2], attributes[1::2], strict=False))
        self.found += [
            (f"{local} {key.rpartition(':')[2]}", _STYLE_SPACE.sub(" ", value).strip())
            for key, value in pairs
            if key.rpartition(":")[2] not in self._ignored and not key.startswith("xmlns")
        ]

    def end(self, _: str) -> None:
        local = self._open.pop()
        if self._out:
            self._out -= 1
        else:
            self.found.append((local, f"</{local}>"))

    def text(self, text: str) -> None:
        if not self._out and text.strip():
            self.found.append((f"{self._open[-1]} text", text.strip()))


def changes(a: list[tuple[str, str]], b: list[tuple[str, str]], options: Options) -> Iterator[Change]:
    """What differs between two such sequences."""
    for block in blocks(a, b):
        for left, right in paired(block):
            x, y = None if left is None else a[left], None if right is None else b[right]
            yield _change(x, y, options)


def _change(x: tuple[str, str] | None, y: tuple[str, str] | None, options: Options) -> Change:
    if x is None or y is None:
        place, value = x or y or ("", "")
        return Change(place, None if x is None else value, None if y is None else value)
    if x[0] != y[0]:
        return Change("structure", " ".join(x), " ".join(y))
    where = _point(x[1], y[1]) if x[0].endswith(" d") else ""
    return Change(f"{x[0]}{where}", x[1], y[1], compare_words(x[1], y[1], options) == "close")


def _point(before: str, after: str) -> str:
    a, b = NUMBER.findall(before), NUMBER.findall(after)
    if len(a) != len(b):
        return ""
    first = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), 0)
    return f", point {first // 2 + 1}"
