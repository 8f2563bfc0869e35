"""PDF files: text and pages, and what is drawn on them; dates and the name of the program that wrote it are left out."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from typing import Any

from .model import SAME, Change, Excerpt, Finding, Options, Unreadable, from_changes
from .numbers import NUMBER, compare_words
from .text import compare as compare_text

_SKIPPED = frozenset(
    {"/Parent", "/P", "/ID", "/CreationDate", "/ModDate", "/LastModified", "/Producer", "/Creator", "/Metadata", "/PieceInfo",
     "/Length", "/Filter", "/DecodeParms", "/StructParents", "/Prev"}
)  # fmt: skip
_SUBSET = re.compile(r"^/?[A-Z]{6}\+")
_DETAILS = ("/Title", "/Author", "/Subject", "/Keywords")
# Objects that are looked at, and how deep.
_OBJECTS, _DEPTH, _PAGES = 50_000, 60, 400


def compare(before: bytes, after: bytes, options: Options) -> Finding:
    """Text first, then drawings, pictures and all else of each page. Raises Unreadable."""
    if before == after:
        return SAME
    from pypdf.errors import PyPdfError

    try:
        return _compare(_open(before), _open(after), options)
    except (
        PyPdfError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        OSError,
        NotImplementedError,
    ) as error:
        raise Unreadable(f"not a PDF that can be read: {error}") from None


def _open(data: bytes) -> Any:
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise Unreadable("it wants a password")
    return reader


def _compare(a: Any, b: Any, options: Options) -> Finding:
    changes = list(_details(a, b))
    if len(a.pages) != len(b.pages):
        changes.append(Change("number of pages", str(len(a.pages)), str(len(b.pages))))
    excerpt: Excerpt | None = None
    for number, (x, y) in enumerate(zip(a.pages, b.pages, strict=False), 1):
        if number > _PAGES:
            break
        found, shown = _page(x, y, f"page {number}", options)
        changes += found
        excerpt = excerpt or shown
    changes += _rest(a, b)
    return from_changes(changes, excerpt, measure="numbers or font data within tolerance")


def _details(a: Any, b: Any) -> Iterator[Change]:
    one, two = a.metadata or {}, b.metadata or {}
    for key in _DETAILS:
        if (x := one.get(key)) != (y := two.get(key)):
            yield Change(key[1:].lower(), str(x or ""), str(y or ""))


def _page(a: Any, b: Any, name: str, options: Options) -> tuple[list[Change], Excerpt | None]:
    if [float(v) for v in a.mediabox] != [float(v) for v in b.mediabox]:
        return [Change(f"{name}, size", str(list(a.mediabox)), str(list(b.mediabox)))], None
    x, y = _content(a), _content(b)
    one, two = _Digest(), _Digest()
    resources = one.of(a.get("/Resources")), two.of(b.get("/Resources"))
    notes = one.of(a.get("/Annots")), two.of(b.get("/Annots"))
    if x == y and resources[0] == resources[1] and notes[0] == notes[1]:
        return list(_fonts(one, two, name)), None
    text = compare_text(a.extract_text(), b.extract_text(), options)
    changes = [Change(f"{name}, {c.where}", c.before, c.after, c.is_close) for c in text.changes]
    if text.verdict in ("same", "close"):
        changes += _drawing(x, y, name, options)
        changes += (
            []
            if resources[0] == resources[1]
            else [Change(f"{name}, its fonts, markers or pictures", "one", "another")]
        )
        changes += [] if notes[0] == notes[1] else [Change(f"{name}, its links and notes", "one", "another")]
    return [*changes, *_fonts(one, two, name)], text.excerpt


def _content(page: Any) -> bytes:
    contents = page.get_contents()
    return b"" if contents is None else contents.get_data()


def _drawing(a: bytes, b: bytes, name: str, options: Options) -> Iterator[Change]:
    """The first place of the drawing that differs, in numbers."""
    if a == b:
        return
    one, two = (_NOT_DRAWN.sub("", data.decode("latin-1")) for data in (a, b))
    p, q = NUMBER.findall(one), NUMBER.findall(two)
    verdict = compare_words(one, two, options)
    if verdict == "same":
        return
    if len(p) == len(q):
        off = [i for i, (u, v) in enumerate(zip(p, q, strict=False)) if u != v]
        if off:
            where = f"{name}, drawing: {len(off):,} of {len(p):,} numbers differ, the first"
            yield Change(where, p[off[0]], q[off[0]], verdict == "close")
            return
    yield Change(f"{name}, drawing", f"{len(p):,} numbers", f"{len(q):,} numbers")


# Marks for readers of the file, not of the page.
_NOT_DRAWN = re.compile(r"^%.*$", re.M)


def _fonts(a: _Digest, b: _Digest, name: str) -> Iterator[Change]:
    if a.fonts != b.fonts:
        yield Change(f"{name}, data of embedded fonts", "one", "another", is_close=True)


def _rest(a: Any, b: Any) -> Iterator[Change]:
    for key in ("/Outlines", "/Names", "/AcroForm"):
        x, y = (_Digest().of(reader.trailer["/Root"].get(key)) for reader in (a, b))
        if x != y:
            yield Change(f"{key[1:].lower()} of the file", "one", "another")


class _Digest:
    """One hash for all that an object leads to, whatever its numbers in the file; ``fonts``: hashes of embedded font files apart."""

    def __init__(self) -> None:
        self.fonts: set[str] = set()
        self._seen: dict[int, int] = {}

    def of(self, value: Any, depth: int = 0) -> str:
        if hasattr(value, "idnum"):
            if value.idnum in self._seen:
                return f"again {self._seen[value.idnum]}"
            self._seen[value.idnum] = len(self._seen)
            value = value.get_object()
        if depth > _DEPTH or len(self._seen) > _OBJECTS:
            raise Unreadable("it is nested too deeply or has too many objects")
        if isinstance(value, dict):
            return self._dictionary(value, depth)
        if isinstance(value, list):
            return _hash(" ".join(self.of(v, depth + 1) for v in value))
        return _SUBSET.sub("", str(value))

    def _dictionary(self, value: dict[Any, Any], depth: int) -> str:
        parts: list[str] = []
        for key in sorted(value, key=str):
            if str(key).startswith("/FontFile"):
                self.fonts.add(_hash(value.raw_get(key).get_object().get_data()))  # type: ignore[attr-defined]
            elif key not in _SKIPPED:
                parts.append(f"{key} {self.of(value.raw_get(key), depth + 1)}")  # type: ignore[attr-defined]
        if hasattr(value, "get_data"):
            parts.append(_hash(value.get_data()))  # type: ignore[attr-defined]
        return _hash("\n".join(parts))


def _hash(data: str | bytes) -> str:
    return hashlib.sha256(data if isinstance(data, bytes) else data.encode("utf-8", "replace")).hexdigest()
