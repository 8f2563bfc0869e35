"""The journal: one checksummed JSON line a record, appended by the supervisor alone, read by everyone.

A line is ``{"crc":"xxxxxxxx",`` followed by the rest of the record, where the CRC-32 is that of the record's JSON
without the ``crc`` key. ``seq`` counts from 0 without gaps. Values larger than `BLOB_BYTES` lie in ``blobs/<sha256>``
and are durable before the line that names them. See ``docs/journal.md`` for the kinds of records.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson

from .errors import DiskFull, JournalDamaged

FORMAT = 1
BLOB_BYTES = 64 * 1024
# Bytes kept free by a placeholder file, so that a run that has started can still record its end on a full disk.
RESERVE_BYTES = 1024 * 1024
# Values nested deeper become a text that says so: parsers and Python's stack bear no more.
DEPTH = 100
_TOO_DEEP = "(nested too deeply)"

Record = dict[str, Any]
_PREFIX = len(b'{"crc":"01234567",')


def encode(record: Record) -> bytes:
    """One line, newline included. Lone surrogates and non-JSON values of hostile kernels become replacement text."""
    return _encode(record)[0]


def _encode(record: Record) -> tuple[bytes, Record]:
    """The line, and the record as it will be read."""
    try:
        body = orjson.dumps(record)
    except TypeError:
        record = clean(record)
        body = orjson.dumps(record)
    return b'{"crc":"%08x",' % zlib.crc32(body) + body[1:] + b"\n", record


def decode(line: bytes) -> Record | None:
    """The record of a line without its ``crc``, or None when the line is not whole."""
    if not line.startswith(b'{"crc":"') or line[16:_PREFIX] != b'",':
        return None
    body = b"{" + line[_PREFIX:].rstrip(b"\n")
    if line[8:16] != b"%08x" % zlib.crc32(body):
        return None
    try:
        record = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("seq"), int) else None


def clean(value: Any, depth: int = 0) -> Any:
    """What orjson writes of any value: replacement text for lone surrogates, huge numbers, depth and what is no JSON."""
    if depth > DEPTH:
        return _TOO_DEEP
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {clean(k if isinstance(k, str) else repr(k)): clean(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(v, depth + 1) for v in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        # str() of an int of thousands of digits raises.
        return (
            float(value)
            if value.bit_length() < 1000
            else f"(an integer of about {value.bit_length() * 3 // 10} digits)"
        )
    return value if isinstance(value, (int, float, bool, type(None))) else repr(value)


def now() -> str:
    """UTC, microseconds, the format that notebooks' ``execution`` metadata uses."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass
class Reading:
    """What a journal holds: the records in order, and the lines that could not be read."""

    records: list[Record] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    # Bytes up to the end of the last valid line; a writer truncates there.
    valid_bytes: int = 0


def read(path: Path) -> Reading:
    """Read as far as lines are whole; a bad line in the middle is skipped and its line number (from 1) reported.

    Raises JournalDamaged when the first line names a format this version does not know. A missing file is an empty
    journal.
    """
    reading, offset = Reading(), 0
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return reading
    suspects: list[int] = []
    with stream:
        for number, line in enumerate(stream, 1):
            offset += len(line)
            record = decode(line) if line.endswith(b"\n") else None
            if record is None:
                suspects.append(number)
                continue
            reading.damaged += suspects
            suspects = []
            reading.records.append(record)
            reading.valid_bytes = offset
    _check_format(reading)
    return reading


def _check_format(reading: Reading) -> None:
    found = reading.records[0].get("format", FORMAT) if reading.records else FORMAT
    if not isinstance(found, int) or found > FORMAT:
        raise JournalDamaged(
            f"This session was written by a newer version (journal format {found}).", "Upgrade cell-gateway."
        )


class BlobStore:
    """Values by their sha256. Anyone may read; only the journal's writer adds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, data: bytes) -> str:
        """Store durably (fsync of file and folder) and return the sha256; storing again is free."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.folder / digest
        if path.exists():
            return digest
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f".{digest}.{os.getpid()}"
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _fsync_folder(self.folder)
        return digest

    def get(self, digest: str) -> bytes:
        """Raises FileNotFoundError when the blob is gone, or a link."""
        if not (len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
            raise FileNotFoundError(digest)
        path = self.folder / digest
        # A session that somebody sent may hold links to what lies here.
        if path.is_symlink():
            raise FileNotFoundError(digest)
        return path.read_bytes()


def externalize(value: Any, blobs: BlobStore, depth: int = 0) -> Any:
    """Replace each string over `BLOB_BYTES` inside ``value`` by ``{"$blob": sha256, "bytes": n}``.

    A dict of the kernel's that itself has such a key is wrapped as ``{"$plain": …}`` and so names no blob of ours.
    """
    if isinstance(value, str):
        if len(value) <= BLOB_BYTES // 4:
            return value
        data = value.encode("utf-8", "replace")
        return value if len(data) <= BLOB_BYTES else {"$blob": blobs.put(data), "bytes": len(data)}
    if isinstance(value, (dict, list)) and depth > DEPTH:
        return _TOO_DEEP
    if isinstance(value, dict):
        plain = {k: externalize(v, blobs, depth + 1) for k, v in value.items()}
        return {"$plain": plain} if "$blob" in value or "$plain" in value else plain
    if isinstance(value, list):
        return [externalize(v, blobs, depth + 1) for v in value]
    return value


def internalize(value: Any, blobs: BlobStore | None, depth: int = 0) -> Any:
    """The reverse of `externalize`; a blob that is gone becomes a text that says so."""
    # Each wrapped dict is one level more than `externalize` counted.
    if isinstance(value, (dict, list)) and depth > 2 * DEPTH + 2:
        return _TOO_DEEP
    if isinstance(value, dict):
        if "$blob" in value:
            return _blob_text(value, blobs)
        if isinstance(plain := value.get("$plain"), dict):
            value = plain
        return {k: internalize(v, blobs, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [internalize(v, blobs, depth + 1) for v in value]
    return value


def _blob_text(reference: dict[str, Any], blobs: BlobStore | None) -> str:
    if blobs is not None:
        with contextlib.suppress(OSError):
            return blobs.get(str(reference["$blob"])).decode("utf-8", "replace")
    return f"[{reference.get('bytes', '?')} bytes are missing: blob {str(reference['$blob'])[:12]}]"


class Journal:
    """The writer. Opening heals: whatever follows the last whole line is cut off.

    ``append`` is visible to readers at once and survives a kill of this process; ``sync`` makes everything appended so
    far survive a loss of power. On a full disk ``append`` raises DiskFull, except with ``reserved=True``, which spends
    the reserve; once it is spent, only ``reserved`` records are taken until there is room for a new one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blobs = BlobStore(path.parent / "blobs")
        reading = read(path)
        self.records, self.damaged = reading.records, reading.damaged
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not reading.valid_bytes:
            _fsync_folder(path.parent)
        os.ftruncate(self._fd, reading.valid_bytes)
        os.lseek(self._fd, 0, os.SEEK_END)
        self._size = reading.valid_bytes
        self.seq = reading.records[-1]["seq"] + 1 if reading.records else 0
        self._reserve = path.with_name("reserve")
        self._has_reserve = self._keep_reserve()

    def append(self, kind: str, *, reserved: bool = False, **fields: Any) -> Record:
        """Write one record and return it as it will be read."""
        if not (reserved or self._has_reserve):
            self._has_reserve = self._keep_reserve()
            if not self._has_reserve:
                raise _disk_full()
        line, record = _encode({"seq": self.seq, "time": now(), "kind": kind, **fields})
        try:
            self._write(line)
        except DiskFull:
            if not reserved:
                raise
            self._reserve.unlink(missing_ok=True)
            self._has_reserve = False
            self._write(line)
        self.seq += 1
        return record

    def fileno(self) -> int:
        return self._fd

    def move(self, path: Path) -> None:
        """The folder was renamed; the open file is the same."""
        self.path, self._reserve = path, path.with_name("reserve")
        self.blobs = BlobStore(path.parent / "blobs")

    def sync(self) -> None:
        """Return when everything appended is on the disk."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    def _write(self, line: bytes) -> None:
        view = memoryview(line)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            # A half-written line would hide all that follows it.
            os.ftruncate(self._fd, self._size)
            os.lseek(self._fd, self._size, os.SEEK_SET)
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise _disk_full() from error
            raise
        self._size += len(line)

    def _keep_reserve(self) -> bool:
        try:
            if self._reserve.stat().st_size == RESERVE_BYTES:
                return True
        except FileNotFoundError:
            pass
        try:
            with self._reserve.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
        except OSError:
            # A half-made one would hold the space that the next record needs.
            self._reserve.unlink(missing_ok=True)
            return False
        return True


def _disk_full() -> DiskFull:
    return DiskFull("The disk that holds the session is full.", "Free some space; what ran so far is kept.")


def follow(path: Path, offset: int = 0) -> Iterator[tuple[Record, int]]:
    """Records from a byte offset to the present end, each with the offset after it; for readers woken by a signal."""
    with path.open("rb") as stream:
        stream.seek(offset)
        for line in stream:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            if (record := decode(line)) is not None:
                yield record, offset


def _fsync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
