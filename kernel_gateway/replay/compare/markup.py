"""HTML: the tables in it cell by cell, the rest as a sequence of tags and texts, ids renamed by order of appearance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from . import tables
from .model import Change, Excerpt, Finding, Options, from_changes
from .normal import Names, normalise
from .numbers import compare_words
from .tables import Entry, Table
from .text import blocks, paired

_REFERRING = ("for", "href", "headers", "list", "aria-labelledby", "aria-describedby", "aria-controls", "data-target")
_VOID = ("br", "hr", "img", "input", "meta", "link", "col", "wbr", "source", "area", "base", "embed", "track")
_WIDEST_SPAN = 1000
# Written before what stands in such an element, so that it is no text of the page.
_SHEET = {"style": "<style>: ", "script": "<script>: "}


@dataclass
class _Row:
    section: str
    entries: list[tuple[bool, Entry, int, int]] = field(default_factory=list[tuple[bool, Entry, int, int]])


@dataclass
class Page:
    """``flow`` has tags, texts, styles and scripts in order; a table is one word in it, and stands in ``tables``."""

    flow: list[str] = field(default_factory=list[str])
    tables: list[list[_Row]] = field(default_factory=list[list[_Row]])


def compare(before: str, after: str, options: Options) -> Finding:
    a, b = read(normalise(before, options)), read(normalise(after, options))
    found: list[Change] = []
    excerpt: Excerpt | None = None
    for number, (x, y) in enumerate(zip(a.tables, b.tables, strict=False), 1):
        name = f"table {number}, " if len(b.tables) > 1 else ""
        changes, shown = tables.changed(_table(x, name), _table(y, name), options)
        found += changes
        excerpt = excerpt or shown
    found += _flow_changes(a.flow, b.flow, options)
    return from_changes(found, excerpt)


def read(text: str) -> Page:
    """The page; never fails, as browsers do not."""
    ids = _Ids()
    ids.feed(text)
    ids.close()
    reader = _Reader(ids.names)
    reader.feed(text)
    reader.close()
    reader.finish()
    return reader.page


class _Ids(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.names = Names()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key == "id" and value:
                self.names.define(value)


class _Reader(HTMLParser):
    def __init__(self, names: Names) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self._names = names
        self._depth = 0
        self._section = ""
        self._rows: list[_Row] = []
        # The open cell: whether it is a heading, its look, spans and words.
        self._cell: tuple[bool, str, int, int, list[str]] | None = None
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._depth += 1
            if self._depth == 1:
                self._emit(self._written(tag, attrs))
                self._rows, self._section = [], ""
                return
        if self._depth == 1 and tag in ("thead", "tbody", "tfoot", "tr", "td", "th"):
            self._structure(tag, attrs)
            return
        if tag in ("style", "script", "pre"):
            self._inside.append(tag)
        self._emit(self._written(tag, attrs))

    def _structure(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._close_cell()
        if tag == "tr":
            self._rows.append(_Row(self._section))
        elif tag in ("td", "th"):
            if not self._rows:
                self._rows.append(_Row(self._section))
            spans = {k: v for k, v in attrs if k in ("rowspan", "colspan")}
            look = " ".join(self._attributes([(k, v) for k, v in attrs if k not in ("id", "rowspan", "colspan")]))
            self._cell = (tag == "th", look, _span(spans.get("rowspan")), _span(spans.get("colspan")), [])
        else:
            self._section = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == "table" and self._depth:
            self._depth -= 1
            if self._depth == 0:
                self._close_cell()
                self.page.tables.append(self._rows)
                self._emit("(table)")
                return
        if self._depth == 1 and tag in ("thead", "tbody", "tfoot", "tr", "td", "th"):
            self._close_cell()
            return
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()
        if tag not in _VOID:
            self._emit(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if self._inside and self._inside[-1] in ("style", "script"):
            words = (
                f"{_SHEET[self._inside[-1]]}{' '.join(self._names.replaced(data, uuids=True).split())}"
                if data.strip()
                else ""
            )
        elif self._inside:
            words = data
        else:
            words = " ".join(data.split())
        if words:
            self._emit(words)

    def finish(self) -> None:
        """A page that ends inside a table still has it."""
        if self._depth:
            self._depth = 1
            self.handle_endtag("table")

    def _emit(self, words: str) -> None:
        if self._cell is not None:
            self._cell[4].append(words)
        else:
            self.page.flow.append(words)

    def _close_cell(self) -> None:
        if self._cell is None:
            return
        is_heading, look, rows, columns, words = self._cell
        self._cell = None
        tags = [w for w in words if w.startswith("<")]
        text = " ".join(w for w in words if not w.startswith("<"))
        self._rows[-1].entries.append((is_heading, Entry(text, " ".join([look, *tags]).strip()), rows, columns))

    def _written(self, tag: str, attrs: list[tuple[str, str | None]]) -> str:
        return f"<{' '.join([tag, *self._attributes(attrs)])}>"

    def _attributes(self, attrs: list[tuple[str, str | None]]) -> Iterator[str]:
        for key, value in sorted(attrs, key=lambda a: a[0]):
            yield f'{key}="{self._attribute(key, value or "")}"'

    def _attribute(self, key: str, value: str) -> str:
        if key == "id" or key in _REFERRING or key.startswith("on") or "#" in value:
            return self._names.replaced(value, uuids=True)
        if key == "style":
            return "; ".join(" ".join(part.split()) for part in value.split(";") if part.strip())
        return self._names.replaced(value, uuids=True) if key.startswith("data-") else " ".join(value.split())


def _span(value: str | None) -> int:
    return min(_WIDEST_SPAN, max(1, int(value))) if value and value.isdecimal() and len(value) < 6 else 1


def _table(rows: list[_Row], name: str) -> Table:
    """Rows with spans filled in; headings on top become the columns' names, those at the left the rows' labels."""
    grid = _grid(rows)
    heads = next((n for n, row in enumerate(grid) if not all(is_head for is_head, _ in row)), len(grid))
    body = grid[heads:]
    stubs = min((sum(1 for _ in _leading(row)) for row in body), default=0)
    width = max((len(row) for row in grid), default=0)
    columns = [_column(grid[:heads], i) for i in range(stubs, width)]
    labels = [" / ".join(entry.text for _, entry in row[:stubs]) for row in body]
    return Table(columns, labels, [[entry for _, entry in row[stubs:]] for row in body], name)


def _grid(rows: list[_Row]) -> list[list[tuple[bool, Entry]]]:
    grid: list[list[tuple[bool, Entry]]] = []
    # Cells that reach down from above: what remains of them, by column.
    down: dict[int, tuple[int, bool, Entry]] = {}
    for row in rows:
        line: list[tuple[bool, Entry]] = []
        for is_heading, entry, height, width in row.entries:
            _fill(line, down)
            for _ in range(width):
                if height > 1:
                    down[len(line)] = (height - 1, is_heading, entry)
                line.append((is_heading, entry))
        _fill(line, down)
        grid.append(line)
    return grid


def _fill(line: list[tuple[bool, Entry]], down: dict[int, tuple[int, bool, Entry]]) -> None:
    while (column := len(line)) in down:
        left, is_heading, entry = down.pop(column)
        if left > 1:
            down[column] = (left - 1, is_heading, entry)
        line.append((is_heading, entry))


def _leading(row: list[tuple[bool, Entry]]) -> Iterator[Entry]:
    for is_heading, entry in row:
        if not is_heading:
            return
        yield entry


def _column(heads: list[list[tuple[bool, Entry]]], number: int) -> str:
    texts = [row[number][1].text for row in heads if number < len(row)]
    return " / ".join(t for t in texts if t)


def _flow_changes(a: list[str], b: list[str], options: Options) -> Iterator[Change]:
    for block in blocks(a, b):
        for left, right in paired(block):
            before, after = None if left is None else a[left], None if right is None else b[right]
            where = _kind(after if before is None else before)
            before, after = _bare(before), _bare(after)
            if before is None or after is None:
                yield Change(where, before, after)
            elif (verdict := compare_words(before, after, options)) != "same":
                yield Change(where, before, after, verdict == "close")


def _bare(words: str | None) -> str | None:
    if words is None or not words.startswith(tuple(_SHEET.values())):
        return words
    return words.partition(": ")[2]


def _kind(words: str | None) -> str:
    for name in _SHEET.values():
        if words is not None and words.startswith(name):
            return name.strip("<>: ")
    if words is None or not words.startswith(("<", "(table)")):
        return "text"
    return "a table" if words == "(table)" else "markup"
