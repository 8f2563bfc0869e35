"""SQLite files by what is in them: schema, tables, rows in their order."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from . import tables
from .model import SAME, Change, Excerpt, Finding, Options, Unreadable, from_changes
from .tables import Entry, Table

# Rows of a table that are read: memory is limited.
_ROWS = 300_000


def compare(before: bytes, after: bytes, options: Options) -> Finding:
    """Raises Unreadable."""
    if before == after:
        return SAME
    try:
        with _opened(before) as a, _opened(after) as b:
            changes, excerpt = _changes(a, b, options)
    except (sqlite3.Error, OverflowError, UnicodeError) as error:
        raise Unreadable(f"not a database that can be read: {error}") from None
    return from_changes(changes, excerpt) if changes else SAME


@contextmanager
def _opened(data: bytes) -> Generator[sqlite3.Connection]:
    """Read-only, immutable, its own schema distrusted."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "db")
        file.write_bytes(data)
        connection = sqlite3.connect(f"file:{quote(str(file))}?mode=ro&immutable=1", uri=True)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            yield connection
        finally:
            connection.close()


def _changes(a: sqlite3.Connection, b: sqlite3.Connection, options: Options) -> tuple[list[Change], Excerpt | None]:
    one, two = _schema(a), _schema(b)
    found = [
        Change(f"{kind} {name}", sql, two.get((kind, name)))
        for (kind, name), sql in one.items()
        if two.get((kind, name)) != sql
    ]
    found += [Change(f"{kind} {name}", None, sql) for (kind, name), sql in two.items() if (kind, name) not in one]
    excerpt = None
    for kind, name in one:
        if kind != "table" or (kind, name) not in two or "VIRTUAL" in one[kind, name].upper()[:30]:
            continue
        changes, shown = tables.changed(_table(a, name), _table(b, name), options)
        found += changes
        excerpt = excerpt or shown
    return found, excerpt


def _schema(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type, name")
    return {(str(kind), str(name)): str(sql) for kind, name, sql in rows}


def _table(connection: sqlite3.Connection, name: str) -> Table:
    quoted = name.replace('"', '""')
    cursor = connection.execute(f'SELECT * FROM "{quoted}"')
    columns = [str(c[0]) for c in cursor.description]
    rows = [[_entry(value) for value in row] for row in cursor.fetchmany(_ROWS + 1)]
    if len(rows) > _ROWS:
        raise Unreadable(f"table {name} has more than {_ROWS:,} rows")
    return Table(columns, [], rows, f"table {name}, ")


def _entry(value: object) -> Entry:
    """The type is part of the look: 1, 1.0 and '1' are three values."""
    return Entry(value.hex() if isinstance(value, bytes) else str(value), type(value).__name__)
