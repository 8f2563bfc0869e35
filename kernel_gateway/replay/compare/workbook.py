"""Excel workbooks: sheets, cells and formulas, how cells look, charts and pictures."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

from .archives import CompareFile, compare_members, members
from .model import Change, Excerpt, Finding, Options, Unreadable, from_changes
from .numbers import compare_values

_CELLS = 400_000
_SHOWN = 10
# What a cell looks like, by the names of its properties.
_LOOKS = ("number_format", "font", "fill", "border", "alignment")

Value = tuple[Any, tuple[Any, ...]]


def compare(before: bytes, after: bytes, options: Options, compare_file: CompareFile) -> Finding:
    """Cells, formulas and looks; charts, pictures and rules of the sheets by the members of the file. Raises Unreadable."""
    a, b = members(before), members(after)
    sheets = compare_sheets(before, after, options)
    if sheets.verdict == "differs":
        return sheets
    others = compare_members(_others(a), _others(b), options, compare_file)
    finding = others if others.verdict != "same" else sheets
    if finding.verdict != "same":
        return finding
    written = [n for n in a if a[n] != b.get(n) and (n.startswith("xl/") or n not in b)]
    return (
        Finding("close", f"equal cells, formulas and looks, written otherwise ({written[0]})") if written else finding
    )


def _others(found: Mapping[str, bytes]) -> dict[str, bytes]:
    """Members that `compare_sheets` does not see; of a sheet, what is not its cells."""
    others: dict[str, bytes] = {}
    for name, data in found.items():
        if re.match(r"xl/worksheets/sheet[^/]*\.xml", name):
            others[name] = _CELL_DATA.sub(b"", data)
        elif name == "xl/styles.xml":
            # The looks that rules give; those of cells were compared with the cells.
            found_looks = _RULE_LOOKS.search(data)
            others[name] = found_looks[0] if found_looks else b"<dxfs/>"
        elif not re.match(r"xl/(styles|sharedStrings|calcChain)\.xml|\[Content_Types\]\.xml", name):
            others[name] = data
    return others


_RULE_LOOKS = re.compile(rb"<dxfs[ >].*</dxfs>", re.S)
# Greedy: to the last end, so that nothing in between can hide behind a comment.
_CELL_DATA = re.compile(rb"<sheetData[ >].*</sheetData>|<sheetData/>|<dimension [^>]*/>", re.S)


def compare_sheets(before: bytes, after: bytes, options: Options) -> Finding:
    """Only what a reader of the sheets sees; charts, pictures and the rest are members of the file. Raises Unreadable."""
    import openpyxl

    try:
        # ValueError, KeyError and others come out of files that were made to break readers.
        a, b = (openpyxl.load_workbook(io.BytesIO(data)) for data in (before, after))
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        OSError,
        SyntaxError,
        zipfile.BadZipFile,
    ) as error:
        raise Unreadable(f"not a workbook that can be read: {error}") from None
    found = list(_names(a.sheetnames, b.sheetnames))
    places: list[Change] = []
    for name, other in _matched(a.sheetnames, b.sheetnames):
        places += _cells(a[name], b[other], options)
        places += _shape(a[name], b[other])
    return from_changes([*found, *places], _excerpt(places))


def _names(a: list[str], b: list[str]) -> Iterator[Change]:
    if a != b and sorted(a) == sorted(b):
        yield Change("order of sheets", ", ".join(a), ", ".join(b))
    elif len(a) == len(b):
        yield from (Change(f"name of sheet {n}", x, y) for n, (x, y) in enumerate(zip(a, b, strict=False), 1) if x != y)
    else:
        yield from (Change(f"sheet {name}", name, None) for name in a if name not in b)
        yield from (Change(f"sheet {name}", None, name) for name in b if name not in a)


def _matched(a: list[str], b: list[str]) -> list[tuple[str, str]]:
    if len(a) == len(b) and sorted(a) != sorted(b):
        return list(zip(a, b, strict=False))
    return [(name, name) for name in a if name in b]


def _cells(a: Any, b: Any, options: Options) -> Iterator[Change]:
    if not hasattr(a, "iter_rows") or not hasattr(b, "iter_rows"):
        return
    one, two = _values(a), _values(b)
    for place in sorted(one.keys() | two.keys()):
        x, y = one.get(place), two.get(place)
        if x == y and x is not None and y is not None and type(x[0]) is type(y[0]):
            continue
        where = f"{b.title}!{_name(place)}"
        if x is None or y is None:
            value = (x or y or (None,))[0]
            yield Change(where, None if x is None else str(value), None if y is None else str(value))
        elif x[0] != y[0] or type(x[0]) is not type(y[0]):
            yield Change(where, str(x[0]), str(y[0]), compare_values(x[0], y[0], options) == "close")
        else:
            yield from _looks(where, x[1], y[1])


def _values(sheet: Any) -> dict[tuple[int, int], Value]:
    found: dict[tuple[int, int], Value] = {}
    looks: dict[tuple[int, ...], tuple[Any, ...]] = {}
    for row in sheet.iter_rows():
        for cell in row:
            if cell.value is not None or cell.has_style:
                style = tuple(cell._style)
                if style not in looks:
                    # Copies: what a cell holds stands for a style of the book, and equals nothing.
                    looks[style] = tuple(copy(getattr(cell, look)) for look in _LOOKS)
                found[cell.row, cell.column] = (_plain(cell.value), looks[style])
        if len(found) > _CELLS:
            raise Unreadable(f"sheet {sheet.title} has more than {_CELLS:,} cells")
    return found


def _plain(value: Any) -> Any:
    """Array formulas and rich texts as text."""
    return (
        value
        if value is None or isinstance(value, (str, int, float, bool))
        else getattr(value, "text", None) or str(value)
    )


def _name(place: tuple[int, int]) -> str:
    from openpyxl.utils import get_column_letter

    return f"{get_column_letter(place[1])}{place[0]}"


def _looks(where: str, a: tuple[Any, ...], b: tuple[Any, ...]) -> Iterator[Change]:
    for name, x, y in zip(_LOOKS, a, b, strict=False):
        if x != y:
            yield Change(f"{where}, {name.replace('_', ' ')}", *_told(x, y))


def _told(x: Any, y: Any) -> tuple[str, str]:
    """Only the attributes that differ: the whole of a font is a page."""
    if isinstance(x, str):
        return x, str(y)
    names = [
        n
        for n in getattr(x, "__elements__", ()) + getattr(x, "__attrs__", ())
        if getattr(x, n, None) != getattr(y, n, None)
    ]
    told = (", ".join(f"{n} {_attribute(getattr(side, n, None))}" for n in names) for side in (x, y))
    before, after = told
    return before or "one way", after or "another way"


def _attribute(value: Any) -> str:
    kind = getattr(value, "type", None)
    if kind in ("rgb", "theme", "indexed"):
        return str(getattr(value, kind)) if kind == "rgb" else f"{kind} {getattr(value, kind)}"
    return " ".join(str(value).split())[:80]


def _shape(a: Any, b: Any) -> Iterator[Change]:
    """Merged cells, widths and frozen panes."""
    for name, x, y in (
        ("merged cells", sorted(map(str, a.merged_cells.ranges)), sorted(map(str, b.merged_cells.ranges))),
        ("widths of columns", _widths(a), _widths(b)),
        ("heights of rows", _heights(a), _heights(b)),
        ("frozen panes", a.freeze_panes, b.freeze_panes),
    ):
        if x != y:
            yield Change(f"{b.title}, {name}", str(x), str(y))


def _widths(sheet: Any) -> dict[str, float]:
    return {key: column.width for key, column in sorted(sheet.column_dimensions.items()) if column.customWidth}


def _heights(sheet: Any) -> dict[int, float]:
    return {key: row.height for key, row in sorted(sheet.row_dimensions.items()) if row.height is not None}


def _excerpt(places: list[Change]) -> Excerpt | None:
    rows = tuple((c.where, ((c.before, c.after),)) for c in places[:_SHOWN])
    return Excerpt(("cell",), rows) if rows else None
