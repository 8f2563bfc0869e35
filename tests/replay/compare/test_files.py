"""Files by their kind: what is in them, not how and when they were written."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from kernel_gateway.replay.compare import files
from kernel_gateway.replay.compare.model import Finding, Options, Reference

OPTIONS = Options()


def compare(path: str, before: bytes | Reference, after: bytes | Reference) -> Finding:
    return files.compare(path, before, after, OPTIONS)


def archive(members: dict[str, bytes], year: int = 2020) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as opened:
        for name, data in members.items():
            opened.writestr(zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0)), data)
    return out.getvalue()


def workbook(change: Callable[[openpyxl.Workbook], None] | None = None) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Sales"
    for row in (["month", "units"], ["Jan", 3], ["Feb", 4], ["sum", "=SUM(B2:B3)"]):
        sheet.append(row)
    if change:
        change(book)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def database(path: Path, *statements: str) -> bytes:
    with sqlite3.connect(path) as connection:
        for statement in (
            "create table sale (day text, units integer)",
            "insert into sale values ('mon', 3), ('tue', 5)",
            *statements,
        ):
            connection.execute(statement)
    connection.close()
    return path.read_bytes()


def test_a_zip_is_compared_by_its_members() -> None:
    assert (
        compare("a.zip", archive({"x.csv": b"a,b\n1,2\n"}), archive({"x.csv": b"a,b\n1,2\n"}, 2021)).verdict == "same"
    )
    found = compare("a.zip", archive({"x.csv": b"a,b\n1,2\n"}), archive({"x.csv": b"a,b\n1,3\n"}))
    assert found.reason == "x.csv, row 1, column b: 2 → 3"
    assert compare("a.zip", archive({"x": b"1", "y": b"2"}), archive({"x": b"1"})).reason == "file y is gone: 1 bytes"


def test_a_gzip_file_is_compared_by_its_content() -> None:
    assert compare("a.gz", gzip.compress(b"1", mtime=1), gzip.compress(b"1", mtime=2)).verdict == "same"
    assert compare("a.gz", gzip.compress(b"1", mtime=1), gzip.compress(b"2", mtime=1)).verdict == "differs"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda b: b["Sales"].__setitem__("B3", 5), "Sales!B3: 4 → 5"),
        (lambda b: b["Sales"].__setitem__("B4", "=SUM(B2:B2)"), "Sales!B4: =SUM(B2:B3) → =SUM(B2:B2)"),
        (lambda b: setattr(b["Sales"]["B2"], "number_format", "0.0"), "Sales!B2, number format: General → 0.0"),
        (lambda b: setattr(b["Sales"], "title", "Sale"), "name of sheet 1: Sales → Sale"),
        (lambda b: b.create_sheet("Notes"), "sheet Notes is new: Notes"),
        (lambda b: b["Sales"].merge_cells("D1:E1"), "Sales, merged cells: [] → ['D1:E1']"),
        (lambda b: b["Sales"].__setitem__("B2", True), "Sales!B2: 3 → True"),
    ],
)
def test_a_workbook_is_compared_by_cells_formulas_and_looks(
    change: Callable[[openpyxl.Workbook], None], reason: str
) -> None:
    assert compare("report.xlsx", workbook(), workbook()).verdict == "same"
    assert compare("report.xlsx", workbook(), workbook(change)).reason.startswith(reason)


def test_when_a_workbook_was_saved_is_no_difference() -> None:
    assert (
        compare(
            "r.xlsx", workbook(), workbook(lambda b: setattr(b.properties, "created", datetime(2001, 2, 3)))
        ).verdict
        == "same"
    )


def test_a_database_is_compared_by_rows(tmp_path: Path) -> None:
    plain = database(tmp_path / "a.db")
    assert compare("a.db", plain, database(tmp_path / "b.db", "pragma user_version = 3")).verdict == "same"
    changed = database(tmp_path / "c.db", "update sale set units = 6 where day = 'tue'")
    assert compare("a.db", plain, changed).reason == "table sale, row 2, column units: 5 → 6"
    typed = database(
        tmp_path / "d.db", "update sale set day = 7 where day = 'mon'", "update sale set day = cast('7' as blob)"
    )
    assert compare("a.db", plain, typed).verdict == "differs"


def test_json_is_compared_by_structure() -> None:
    value = {"a": 1, "b": [1.5]}
    assert compare("a.json", json.dumps(value).encode(), json.dumps(value, indent=1).encode()).verdict == "close"
    assert compare("a.json", b'{"b": [1.5]}', b'{"b": [1.6]}').reason == "b[0]: 1.5 → 1.6"
    assert compare("a.json", b"{broken", b"{broken too").verdict == "differs"


def test_arrays_are_compared_by_element() -> None:
    def saved(array: object) -> bytes:
        out = io.BytesIO()
        np.save(out, np.asarray(array))
        return out.getvalue()

    assert compare("a.npy", saved([1.0, 2.0]), saved([1.0, 2.5])).reason == "element 1: 2.0 → 2.5"
    assert compare("a.npy", saved([0.3]), saved([0.1 + 0.2])).verdict == "close"
    assert compare("a.npy", saved([1]), saved([1.0])).reason == "type and shape: int64 (1,) → float64 (1,)"


def test_another_kind_under_the_same_name_differs() -> None:
    assert compare("a.csv", b"a,b\n1,2\n", b"%PDF-1.4").reason == "kind of file: csv → pdf"


def test_unknown_kinds_are_compared_by_their_bytes() -> None:
    assert compare("a.parquet", b"PAR1\x00\x01", b"PAR1\x00\x02").verdict == "differs"
    assert compare("a.parquet", b"PAR1\x00\x01", b"PAR1\x00\x01").verdict == "same"


def test_a_file_of_which_only_the_hash_is_known() -> None:
    known = Reference(hashlib.sha256(b"a,b\n").hexdigest(), 4)
    assert compare("a.csv", known, b"a,b\n").verdict == "same"
    assert compare("a.csv", known, b"a,c\n").verdict == "differs"
    assert compare("a.xlsx", known, workbook()).verdict == "error"


def test_damaged_files_are_compared_by_their_bytes() -> None:
    for path, start in (
        ("a.xlsx", b"PK\x03\x04"),
        ("a.pdf", b"%PDF-1.7"),
        ("a.db", b"SQLite format 3\0"),
        ("a.png", b"\x89PNG\r\n\x1a\n"),
    ):
        found = compare(path, start + b"one\xff", start + b"two\xff")
        assert found.verdict == "differs", path
