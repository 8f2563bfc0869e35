"""Files, by what their first bytes and their name say they are."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import PurePosixPath
from typing import Any

from . import archives, database, delimited, document, markup, structure, text, vector, workbook
from .model import SAME, Change, Finding, Options, Reference, Unreadable, from_changes
from .numbers import compare_values

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "picture"),
    (b"\xff\xd8\xff", "picture"),
    (b"GIF8", "picture"),
    (b"BM", "picture"),
    (b"II*\0", "picture"),
    (b"MM\0*", "picture"),
    (b"%PDF", "pdf"),
    (b"SQLite format 3\0", "sqlite"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "zip"),
    (b"\x93NUMPY", "array"),
)
_OFFICE = {"xlsx": "workbook", "xlsm": "workbook", "docx": "document", "pptx": "slides"}
_TEXTS = {
    "csv": "csv",
    "tsv": "csv",
    "json": "json",
    "geojson": "json",
    "ipynb": "json",
    "svg": "svg",
    "html": "html",
    "htm": "html",
    "jsonl": "text",
    "ndjson": "text",
}
_DEPTH = 4


def kind_of(path: str, data: bytes) -> str:
    """picture, pdf, sqlite, workbook, document, slides, zip, array, csv, json, svg, html, text or data."""
    suffix = PurePosixPath(path).suffix[1:].lower()
    found = next((kind for magic, kind in _MAGIC if data.startswith(magic)), "")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "picture"
    if found == "zip":
        return _OFFICE.get(suffix, "zip")
    if found and found != "picture":
        return found
    if data[257:262] == b"ustar":
        return "zip"
    if found and (suffix in ("png", "jpg", "jpeg", "gif", "bmp", "tif", "tiff", "") or not _is_text(data)):
        return found
    return _TEXTS.get(suffix, "text") if _is_text(data) else "data"


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def compare(
    path: str, before: bytes | Reference, after: bytes | Reference, options: Options, depth: int = 0
) -> Finding:
    """By kind. What cannot be read as its kind is compared by its bytes; a file of which only the hash is known too."""
    if digest(before) == digest(after):
        return SAME
    if isinstance(before, Reference) or isinstance(after, Reference):
        return _by_hash(path, before, after)
    kinds = kind_of(path, before), kind_of(path, after)
    if kinds[0] != kinds[1]:
        return from_changes([Change("kind of file", *kinds)])
    try:
        return _compare_as(kinds[0], path, before, after, options, depth)
    except Unreadable as error:
        return _by_bytes(before, after, str(error))


def digest(content: bytes | Reference) -> str:
    return content.sha256 if isinstance(content, Reference) else hashlib.sha256(content).hexdigest()


# Kinds that hold times, so that no two runs write the same bytes.
_TIMED = frozenset({"xlsx", "xlsm", "docx", "pptx", "zip", "pdf", "gz", "tgz", "tar", "npz", "db", "sqlite", "sqlite3"})

HASH_ONLY = "could not be compared: only the recorded file's hash is known, and files of its kind hold the time"


def _by_hash(path: str, before: bytes | Reference, after: bytes | Reference) -> Finding:
    if PurePosixPath(path).suffix[1:].lower() in _TIMED:
        return Finding("error", HASH_ONLY)
    sizes = [c.size if isinstance(c, Reference) else len(c) for c in (before, after)]
    return Finding("differs", f"{sizes[0]:,} → {sizes[1]:,} bytes, with another hash")


def _by_bytes(before: bytes, after: bytes, why: str) -> Finding:
    at = next((i for i, (x, y) in enumerate(zip(before, after, strict=False)) if x != y), min(len(before), len(after)))
    return Finding("differs", f"{len(before):,} → {len(after):,} bytes, the first other one at {at:,} ({why})")


def _compare_as(kind: str, path: str, before: bytes, after: bytes, options: Options, depth: int) -> Finding:
    def compare_inner(name: str, x: bytes, y: bytes) -> Finding:
        if depth >= _DEPTH:
            return _by_bytes(x, y, "archives within archives")
        return compare(name, x, y, options, depth + 1)

    if kind == "picture":
        from . import pictures

        return pictures.compare(before, after, options)
    if kind == "pdf":
        return document.compare(before, after, options)
    if kind == "sqlite":
        return database.compare(before, after, options)
    if kind == "workbook":
        return workbook.compare(before, after, options, compare_inner)
    if kind in ("zip", "document", "slides"):
        return archives.compare(before, after, options, compare_inner)
    if kind == "array":
        return _compare_arrays(before, after, options)
    if kind == "data":
        return _by_bytes(before, after, "a kind that is compared by its bytes")
    return _compare_texts(kind, before.decode("utf-8"), after.decode("utf-8"), options)


def _compare_texts(kind: str, before: str, after: str, options: Options) -> Finding:
    if kind == "csv":
        return delimited.compare(before, after, options)
    if kind == "svg":
        return vector.compare(before, after, options)
    if kind == "html":
        return markup.compare(before, after, options)
    if kind == "json":
        return _compare_json(before, after, options)
    return text.compare(before, after, options)


def _compare_json(before: str, after: str, options: Options) -> Finding:
    try:
        finding = structure.compare(json.loads(before), json.loads(after), options)
    except ValueError:
        return text.compare(before, after, options)
    return finding if finding.verdict != "same" else Finding("close", "equal values, written otherwise")


def _compare_arrays(before: bytes, after: bytes, options: Options) -> Finding:
    import numpy as np

    try:
        a, b = (np.load(io.BytesIO(data), allow_pickle=False) for data in (before, after))
    except (ValueError, OSError, EOFError) as error:
        return _by_bytes(before, after, f"an array that cannot be read: {error}")
    if a.dtype != b.dtype or a.shape != b.shape:
        return from_changes([Change("type and shape", f"{a.dtype} {a.shape}", f"{b.dtype} {b.shape}")])
    return from_changes(_array_changes(a, b, options))


def _array_changes(a: Any, b: Any, options: Options) -> list[Change]:
    import numpy as np

    off = np.flatnonzero((a != b).ravel())[:1000]
    one, two = a.ravel(), b.ravel()
    pairs = [(int(i), one[i].item(), two[i].item()) for i in off]
    verdicts = [(i, x, y, compare_values(x, y, options)) for i, x, y in pairs]
    return [Change(f"element {i}", str(x), str(y), v == "close") for i, x, y, v in verdicts if v != "same"]
