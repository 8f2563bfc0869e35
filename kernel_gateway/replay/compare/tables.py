"""Tables, cell by cell; the order of rows and columns counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .model import SAME, Change, Excerpt, Finding, Options, from_changes
from .numbers import compare_words
from .text import blocks, paired

_SHOWN_ROWS, _SHOWN_COLUMNS, _WIDEST = 10, 8, 120


@dataclass(frozen=True)
class Entry:
    """One cell: its text, and how it looks (style and the like)."""

    text: str
    look: str = ""


@dataclass(frozen=True)
class Table:
    """``labels`` name the rows; they are compared too. ``name`` goes before each place, such as ``table 2, ``."""

    columns: Sequence[str]
    labels: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    name: str = ""

    def column(self, number: int) -> str:
        return (self.columns[number] if number < len(self.columns) else "") or str(number + 1)

    def label(self, number: int) -> str:
        return (self.labels[number] if number < len(self.labels) else "") or str(number + 1)


@dataclass
class _Changes:
    """``at`` holds rows and columns of the new table that differ, for the excerpt."""

    found: list[Change] = field(default_factory=list[Change])
    at: list[tuple[int | None, int | None, int]] = field(default_factory=list[tuple["int | None", "int | None", int]])


def compare(before: Table, after: Table, options: Options) -> Finding:
    """Named by row and column: ``row 3, column price: 9.99 → 10.99``."""
    changes, excerpt = changed(before, after, options)
    return from_changes(changes, excerpt) if changes else SAME


def changed(before: Table, after: Table, options: Options) -> tuple[list[Change], Excerpt | None]:
    result = _Changes()
    columns = _columns(before, after, result)
    keys = _keys(before, after)
    if moved := _moved(*keys):
        result.found.append(_order(before, after, moved))
        result.at += [(i, i, -1) for i in moved]
    elif len(before.rows) == len(after.rows):
        for i in range(len(after.rows)):
            _compare_rows(before, after, (i, i), columns, options, result)
    else:
        for pair in (p for block in blocks(*keys) for p in paired(block)):
            _compare_rows(before, after, pair, columns, options, result)
    return result.found, _excerpt(before, after, columns, result) if result.found else None


def _keys(before: Table, after: Table) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """The rows' texts on both sides; labels that only count rows are none."""
    counts = all(list(t.labels) in ([], [str(n) for n in range(len(t.rows))]) for t in (before, after))
    return tuple([_key(t, row, with_label=not counts) for row in range(len(t.rows))] for t in (before, after))  # type: ignore[return-value]


def _key(table: Table, row: int, *, with_label: bool = True) -> tuple[str, ...]:
    texts = tuple(e.text for e in table.rows[row])
    label = table.labels[row] if row < len(table.labels) else ""
    return (label, *texts) if with_label and label else texts


def _moved(a: list[tuple[str, ...]], b: list[tuple[str, ...]]) -> list[int]:
    """Which rows stand elsewhere, when there are the same rows on both sides."""
    return [i for i in range(len(a)) if a[i] != b[i]] if len(a) == len(b) and Counter(a) == Counter(b) else []


def _order(before: Table, after: Table, moved: list[int]) -> Change:
    a, b = (", ".join(_key(t, moved[0])) for t in (before, after))
    names = before.label(moved[0]), before.label(moved[1])
    which = f"rows {names[0]} and {names[1]} are swapped" if len(moved) == 2 else f"{len(moved)} rows moved"
    return Change(f"{after.name}order of rows, {which}; row {names[0]}", a, b)


def _columns(before: Table, after: Table, result: _Changes) -> list[tuple[int, int]]:
    """Which column stands against which; what differs in their names is noted."""
    a, b = list(before.columns), list(after.columns)
    by_position = [(i, i) for i in range(min(len(a), len(b)))]
    if a == b:
        return by_position
    is_named = len(set(a)) == len(a) and len(set(b)) == len(b)
    if is_named and sorted(a) == sorted(b):
        result.found.append(Change(f"{after.name}order of columns", ", ".join(a), ", ".join(b)))
        return [(a.index(name), i) for i, name in enumerate(b)]
    if len(a) == len(b):
        result.found += [
            Change(f"{after.name}name of column {i + 1}", x, y)
            for i, (x, y) in enumerate(zip(a, b, strict=False))
            if x != y
        ]
        return by_position
    result.found += [
        Change(f"{after.name}column {name or i + 1}", name, None) for i, name in enumerate(a) if name not in b
    ]
    result.found += [
        Change(f"{after.name}column {name or i + 1}", None, name) for i, name in enumerate(b) if name not in a
    ]
    if len(result.found) == 0:
        result.found.append(Change(f"{after.name}columns", ", ".join(a), ", ".join(b)))
    return [(a.index(name), i) for i, name in enumerate(b) if name in a] if is_named else by_position


def _compare_rows(
    before: Table,
    after: Table,
    pair: tuple[int | None, int | None],
    columns: list[tuple[int, int]],
    options: Options,
    result: _Changes,
) -> None:
    left, right = pair
    if left is None or right is None:
        table, row = (after, right) if left is None else (before, left)
        words = ", ".join(_key(table, row or 0)).lstrip(", ")
        where = f"{after.name}row {table.label(row or 0)}"
        result.found.append(Change(where, None if left is None else words, None if right is None else words))
        result.at.append((left, right, -1))
        return
    for change, column in _row_changes(before, after, left, right, columns, options):
        result.found.append(change)
        result.at.append((left, right, column))


def _row_changes(
    before: Table, after: Table, left: int, right: int, columns: list[tuple[int, int]], options: Options
) -> Iterator[tuple[Change, int]]:
    where = f"{after.name}row {after.label(right)}"
    if before.label(left) != after.label(right):
        verdict = compare_words(before.label(left), after.label(right), options)
        yield (
            Change(f"{after.name}label of row {right + 1}", before.label(left), after.label(right), verdict == "close"),
            -1,
        )
    a, b = before.rows[left], after.rows[right]
    if a == b and all(i == j for i, j in columns):
        return
    if len(a) != len(b) and len(before.columns) == len(after.columns):
        yield Change(f"{where}, number of cells", str(len(a)), str(len(b))), -1
    for i, j in columns or [(i, i) for i in range(min(len(a), len(b)))]:
        if i >= len(a) or j >= len(b) or a[i] == b[j]:
            continue
        place = f"{where}, column {after.column(j)}"
        if a[i].text != b[j].text:
            yield Change(place, a[i].text, b[j].text, compare_words(a[i].text, b[j].text, options) == "close"), j
        else:
            yield Change(f"{place}, look", a[i].look, b[j].look), j


def _excerpt(before: Table, after: Table, columns: list[tuple[int, int]], result: _Changes) -> Excerpt:
    shown_rows = list(dict.fromkeys((left, right) for left, right, _ in result.at))[:_SHOWN_ROWS]
    if not shown_rows:
        shown_rows = [(i, i) for i in range(min(3, len(before.rows), len(after.rows)))]
    touched = {column for _, _, column in result.at if column >= 0}
    order = sorted(range(len(columns)), key=lambda n: columns[n][1] not in touched)[:_SHOWN_COLUMNS]
    chosen = [columns[n] for n in sorted(order)]
    head = tuple(_heading(before.column(i), after.column(j)) for i, j in chosen)
    rows = [_excerpt_row(before, after, pair, chosen) for pair in shown_rows]
    return Excerpt(head or ("",), tuple(rows))


def _heading(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _excerpt_row(
    before: Table, after: Table, pair: tuple[int | None, int | None], columns: list[tuple[int, int]]
) -> tuple[str, tuple[tuple[str | None, str | None], ...]]:
    left, right = pair
    label = before.label(left or 0) if right is None else after.label(right)
    return label[:_WIDEST], tuple((_entry(before, left, i), _entry(after, right, j)) for i, j in columns)


def _entry(table: Table, row: int | None, column: int) -> str | None:
    if row is None or column >= len(table.rows[row]):
        return None
    entry = table.rows[row][column]
    look = f" ({entry.look})" if entry.look else ""
    return f"{entry.text}{look}"[:_WIDEST]
