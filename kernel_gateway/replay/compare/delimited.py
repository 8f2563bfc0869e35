"""Comma- and tab-separated files, cell by cell."""

from __future__ import annotations

import csv
import io

from . import tables
from .model import SAME, Finding, Options
from .tables import Entry, Table

_DELIMITERS = ",;\t|"
_LONGEST_FIELD = 10 * 1024 * 1024


def compare(before: str, after: str, options: Options) -> Finding:
    """The first row names the columns. Cells that agree in a file written otherwise (quotes, line ends) are `close`."""
    if before == after:
        return SAME
    finding = tables.compare(_table(before), _table(after), options)
    if finding.verdict == "same":
        return Finding("close", "written otherwise, with equal cells: quotes, line ends or spaces")
    return finding


def _table(text: str) -> Table:
    csv.field_size_limit(_LONGEST_FIELD)
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=_delimiter(text)))
    head, body = (rows[0], rows[1:]) if rows else ([], [])
    return Table(head, [], [[Entry(value) for value in row] for row in body])


def _delimiter(text: str) -> str:
    first = text.split("\n", 1)[0]
    return max(_DELIMITERS, key=first.count)
