"""Which files of the workspace a cell made or changed. The code in the sandbox writes there at the same time and is not trusted."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UnsafePath
from ..journal import Record
from ..session.beneath import FILE_FLAGS, FOLDER_FLAGS, open_beneath, opened_folder, split_path

LISTED = 50
# Files above this size are listed without a hash; so is what follows once a scan has read so many bytes in all.
HASHED_BYTES = 64 * 1024**2
HASHED_BYTES_IN_ALL = 256 * 1024**2
# A bound on one scan's time: what lies beyond is neither listed nor counted.
ENTRIES = 200_000
# Deeper folders are not looked into: reaching each costs as many steps as it is deep.
DEPTH = 100
SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__"})

Found = dict[str, Any]
# Modified, changed (both in ns), size, inode: what tells that a file is not the one seen before.
Stamp = tuple[int, int, int, int]


@dataclass
class WorkspaceChanges:
    """Compares the workspace with how it was at the last look. The first `scan` or `look` sets that out.

    ``known`` holds size and hash by path for a fresh start after the previous observer was killed: such files count as seen.
    """

    root: Path
    known: Mapping[str, tuple[int, str | None]] = field(default_factory=dict[str, "tuple[int, str | None]"])
    _seen: dict[str, Stamp] = field(default_factory=dict[str, Stamp])

    async def look(self) -> None:
        """Take the workspace as it is now as seen."""
        self._seen = await asyncio.to_thread(_stamps, self.root)

    async def scan(self) -> tuple[list[Found], int]:
        """``{path, bytes, sha256}`` of the files new or changed since the last look, at most `LISTED` of them, and their whole number."""
        return await asyncio.to_thread(self._scan)

    def _scan(self) -> tuple[list[Found], int]:
        stamps = _stamps(self.root)
        changed = sorted(path for path, stamp in stamps.items() if self._seen.get(path) != stamp)
        self._seen = stamps
        with opened_folder(self.root) as root:
            new = list(self._unknown(root, changed))
        return new[:LISTED], len(new)

    def _unknown(self, root: int, paths: Iterable[str]) -> Iterator[Found]:
        left, listed = HASHED_BYTES_IN_ALL, 0
        for path in paths:
            # Hashing what will not be listed is only worth it to recognise a known file.
            wanted = listed < LISTED or path in self.known
            found = describe(root, path, limit=min(left, HASHED_BYTES) if wanted else 0)
            if found is None or self.known.get(path) == (found["bytes"], found["sha256"]):
                continue
            left -= found["bytes"] if found["sha256"] else 0
            listed += 1
            yield found


def _stamps(folder: Path) -> dict[str, Stamp]:
    """Regular files by their relative path, hidden folders and those of package managers left out."""
    stamps: dict[str, Stamp] = {}
    with opened_folder(folder) as root:
        todo: list[tuple[str, ...]] = [()]
        while todo and len(stamps) < ENTRIES:
            parts = todo.pop()
            with suppress(OSError):
                _look_into(root, parts, stamps, todo)
    return stamps


def _look_into(root: int, parts: tuple[str, ...], stamps: dict[str, Stamp], todo: list[tuple[str, ...]]) -> None:
    fd = open_beneath(root, parts, FOLDER_FLAGS) if parts else os.dup(root)
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
                        stamps["/".join((*parts, entry.name))] = stamp
                    elif stat.S_ISDIR(status.st_mode) and len(parts) < DEPTH and not _is_skipped(entry.name):
                        todo.append((*parts, entry.name))
    finally:
        os.close(fd)


def _is_skipped(name: str) -> bool:
    return name.startswith(".") or name in SKIPPED_FOLDERS


def describe(root: int, path: str, limit: int = HASHED_BYTES) -> Found | None:
    """``{path, bytes, sha256}`` of a regular file below the folder ``root``; None when it is gone, a link or no plain file.

    ``sha256`` is None above ``limit`` bytes. A name that is no UTF-8 comes out with replacement characters.
    """
    try:
        fd = open_beneath(root, split_path(path), FILE_FLAGS)
    except (OSError, UnsafePath):
        return None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        digest = _sha256(fd, status.st_size) if status.st_size <= limit else None
        return {"path": os.fsencode(path).decode("utf-8", "replace"), "bytes": status.st_size, "sha256": digest}
    finally:
        os.close(fd)


def _sha256(fd: int, size: int) -> str:
    """Of the first ``size`` bytes, so that a file that grows while it is read comes to an end."""
    digest, left = hashlib.sha256(), size
    while left > 0 and (data := os.read(fd, min(left, 1024 * 1024))):
        digest.update(data)
        left -= len(data)
    return digest.hexdigest()


def known_files(records: Iterable[Record]) -> dict[str, tuple[int, str | None]]:
    """Size and hash of each file that the journal has named, as it was last named."""
    known: dict[str, tuple[int, str | None]] = {}
    for record in records:
        match record["kind"]:
            case "files":
                known.update({f["path"]: (f["bytes"], f["sha256"]) for f in record["files"]})
            case "input":
                known[record["path"]] = (record["bytes"], record["sha256"])
            case _:
                pass
    return known
