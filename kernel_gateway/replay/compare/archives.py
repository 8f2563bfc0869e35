"""Files that hold files: zip, xlsx, docx, pptx, gzip, tar. Times of their members are left out."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .model import SAME, Change, Finding, Options, Unreadable, from_changes, worst
from .vector import changes as xml_changes
from .vector import words as xml_words

_TOTAL_BYTES = 400_000_000
_MEMBERS = 20_000
# When and by what it was written.
_CORE = "docProps/core.xml"
_DATES = frozenset({"created", "modified", "lastPrinted", "revision", "lastModifiedBy"})
_SKIPPED = frozenset({"docProps/app.xml"})
# Random numbers that Word gives to what was edited together.
_EDITS = ("rsid", "rsidR", "rsidRPr", "rsidRDefault", "rsidP", "rsidTr", "paraId", "textId")

CompareFile = Callable[[str, bytes, bytes], Finding]


def members(data: bytes) -> dict[str, bytes]:
    """All files of an archive by name. Raises Unreadable, also for a bomb."""
    try:
        if data[:2] == b"\x1f\x8b":
            return _gzip_members(data)
        if data[:2] == b"PK":
            return _zip_members(data)
        return _tar_members(data)
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        OSError,
        EOFError,
        zlib.error,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise Unreadable(f"not an archive that can be read: {error}") from None


def _zip_members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = [i for i in archive.infolist() if not i.is_dir()]
        if len(infos) > _MEMBERS or sum(i.file_size for i in infos) > _TOTAL_BYTES:
            raise Unreadable(f"it holds more than {_TOTAL_BYTES:,} bytes or {_MEMBERS:,} files")
        return {info.filename: _bounded(archive.open(info)) for info in infos}


def _gzip_members(data: bytes) -> dict[str, bytes]:
    with gzip.open(io.BytesIO(data)) as stream:
        content = _bounded(stream)
    return _tar_members(content) if content[257:262] == b"ustar" else {"content": content}


def _tar_members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found: dict[str, bytes] = {}
        for info in archive:
            if info.isfile() and (stream := archive.extractfile(info)):
                found[info.name] = _bounded(stream)
            if len(found) > _MEMBERS:
                raise Unreadable(f"it holds more than {_MEMBERS:,} files")
        return found


def _bounded(stream: Any) -> bytes:
    content = stream.read(_TOTAL_BYTES + 1)
    if len(content) > _TOTAL_BYTES:
        raise Unreadable(f"it holds more than {_TOTAL_BYTES:,} bytes")
    return content


def compare(before: bytes, after: bytes, options: Options, compare_file: CompareFile) -> Finding:
    """By members; each by its own kind."""
    return compare_members(members(before), members(after), options, compare_file)


def compare_members(
    a: Mapping[str, bytes], b: Mapping[str, bytes], options: Options, compare_file: CompareFile
) -> Finding:
    """The finding on two sets of files; pictures and excerpts are those of the first that differs."""
    changes = [Change(f"file {name}", f"{len(a[name]):,} bytes", None) for name in a if name not in b]
    changes += [Change(f"file {name}", None, f"{len(b[name]):,} bytes") for name in b if name not in a]
    findings: list[Finding] = []
    for name in a:
        if name in b and a[name] != b[name] and name not in _SKIPPED:
            finding = _member(name, a[name], b[name], options, compare_file)
            findings.append(finding)
            changes += _named(name, finding)
    whole = from_changes(changes)
    if whole.verdict == "same":
        return SAME
    first = next((f for f in findings if f.verdict == worst(g.verdict for g in findings)), SAME)
    return Finding(whole.verdict, whole.reason, whole.changes, whole.numbers, first.picture, first.excerpt)


def _named(name: str, finding: Finding) -> Iterator[Change]:
    if finding.verdict == "same":
        return
    for change in finding.changes:
        yield Change(f"{name}, {change.where}", change.before, change.after, change.is_close)
    if not finding.changes:
        yield Change(f"{name}: {finding.reason}", "", "", finding.verdict == "close")


def _member(name: str, a: bytes, b: bytes, options: Options, compare_file: CompareFile) -> Finding:
    if name.endswith((".xml", ".rels")):
        try:
            return _xml(name, a, b, options)
        except Unreadable:
            pass
    return compare_file(name, a, b)


def _xml(name: str, a: bytes, b: bytes, options: Options) -> Finding:
    skipped = _DATES if name == _CORE else frozenset[str]()
    ignored = _EDITS if re.match(r"(word|ppt)/", name) else ()
    x, y = (xml_words(data, skipped=skipped, ignored=ignored) for data in (a, b))
    return from_changes(list(xml_changes(x, y, options)))
