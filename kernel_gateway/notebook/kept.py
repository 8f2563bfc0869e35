"""The files of a session or notebook, for who takes them along: what was given, what cells made, what else lies there.

A workspace belongs to hostile code: all is read beneath its root, regular files only, never through a link.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal

from ..errors import NotFound, UnsafePath
from ..journal import BlobStore
from ..session.beneath import FILE_FLAGS, open_beneath, opened_folder, split_path, walk
from .outputs import mapping, sequence, text
from .portability import files_read
from .sources import Source

# input: given; made: by a cell; other: lies in the workspace and no record names it; text: the whole of a long output.
Role = Literal["input", "made", "other", "text"]
_CHUNK = 1024**2
# Of the workspace beyond what is recorded; caches and installed packages are no part of a session.
_OTHER_FILES = 2000
_CACHES = ("node_modules", "__pycache__", "site-packages")


@dataclass(frozen=True)
class KeptFile:
    """``size`` and ``sha256`` are those of the file that is there; where there is none, the recorded ones, and ``missing`` says why.

    ``changed``: it is not what was recorded.
    """

    path: str
    role: Role
    size: int
    sha256: str
    missing: str = ""
    changed: bool = False
    root: Path | None = None
    blob: bytes | None = None

    @contextmanager
    def opened(self) -> Generator[BinaryIO]:
        """Raises NotFound and UnsafePath when it went away meanwhile."""
        if self.blob is not None:
            yield io.BytesIO(self.blob)
        elif self.root is None:
            raise NotFound(f"There is no file {self.path!r}.")
        else:
            with _opened(self.root, self.path) as file:
                yield file


@dataclass(frozen=True)
class Places:
    """Where files may lie. ``roots``: of those that cells name, first place first; ``whole``: of long outputs.

    All that is below ``all_of`` counts.
    """

    roots: tuple[Path, ...]
    whole: Path | None = None
    all_of: Path | None = None
    blobs: BlobStore | None = None


def kept_files(notebook: Mapping[str, Any], places: Places) -> list[KeptFile]:
    """Every file of a session once a role, in this order: inputs, made, others, long outputs."""
    ours = mapping(mapping(notebook["metadata"]).get("kernel_gateway"))
    made = {text(f["path"]): f for f in map(mapping, sequence(ours.get("outputs"))) if f.get("path")}
    given = {text(f["path"]): f for f in map(mapping, sequence(ours.get("inputs"))) if f.get("path")}
    files = [_recorded(path, facts, "input", places) for path, facts in given.items()]
    if not ours:
        files += [f for path in _read_by(notebook) if not (f := _recorded(path, {}, "input", places)).missing]
    files += [_recorded(path, facts, "made", places) for path, facts in made.items()]
    if places.all_of is not None:
        files += _below(places.all_of, "other", given.keys() | made.keys())
    if places.whole is not None:
        files += _below(places.whole, "text", set())
    return files


def _read_by(notebook: Mapping[str, Any]) -> list[str]:
    cells = [Source(text(c["source"])) for c in sequence(notebook["cells"]) if c["cell_type"] == "code"]
    return list(dict.fromkeys(path for source in cells for path in files_read(source)))


def _recorded(path: str, facts: Mapping[str, Any], role: Role, places: Places) -> KeptFile:
    digest, size = text(facts.get("sha256") or ""), facts.get("bytes")
    recorded = KeptFile(path, role, size if isinstance(size, int) else 0, digest, "It is not there any more.")
    if facts.get("origin") == "mount":
        return KeptFile(
            path, role, recorded.size, digest, "It was shown to the session from a folder, not copied into it."
        )
    found = next(filter(None, (_there(root, path, role, digest) for root in places.roots)), None)
    if found is not None and not found.changed:
        return found
    if digest and places.blobs is not None:
        with suppress(OSError, ValueError):
            content = places.blobs.get(digest)
            return KeptFile(path, role, len(content), digest, blob=content)
    return found or recorded


def _there(root: Path, path: str, role: Role, recorded: str) -> KeptFile | None:
    try:
        with _opened(root, path) as file:
            digest, size = _measured(file)
    except (OSError, UnsafePath, NotFound, ValueError):
        return None
    return KeptFile(path, role, size, digest, changed=bool(recorded) and recorded != digest, root=root)


def _below(root: Path, role: Role, known: set[str]) -> Iterator[KeptFile]:
    with suppress(NotFound, UnsafePath, OSError), opened_folder(root) as top:
        entries = sorted((e for e in walk(top) if e.kind == "file" and e.path not in known), key=lambda e: e.path)
        plain = [e for e in entries if not any(p.startswith(".") or p in _CACHES for p in PurePosixPath(e.path).parts)]
        for entry in plain[:_OTHER_FILES]:
            if found := _there(root, entry.path, role, ""):
                yield found
        if left := plain[_OTHER_FILES:]:
            size = sum(e.size for e in left)
            yield KeptFile(f"… and {len(left):,} more files", role, size, "", "Too many files: left out.")


@contextmanager
def _opened(root: Path, path: str) -> Generator[BinaryIO]:
    with opened_folder(root) as top:
        fd = open_beneath(top, split_path(path), FILE_FLAGS)
    with open(fd, "rb") as file:  # noqa: PTH123
        status = os.fstat(fd)
        # A giant that is mostly hole would fill whoever takes it along.
        if not stat.S_ISREG(status.st_mode) or status.st_blocks * 512 < status.st_size // 2 - 4096:
            raise UnsafePath(f"{path!r} is not a plain file.")
        yield file


def _measured(file: BinaryIO) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while data := file.read(_CHUNK):
        digest.update(data)
        size += len(data)
    return digest.hexdigest(), size
