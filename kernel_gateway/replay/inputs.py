"""The files that a notebook starts from: found again by path and hash, and put into a fresh workspace.

Folders that code wrote to are read beneath their root, without following a link.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from ..errors import NotFound, UnsafePath
from ..journal import BlobStore
from ..notebook.sources import Source
from ..session.beneath import FILE_FLAGS, FOLDER_FLAGS, open_beneath, opened_folder, split_path, walk
from ..session.files import put
from ..supervisor.client import SessionClient
from .compare.model import Reference

# Of a folder that a foreign notebook names.
FOLDER_FILES = 2000
_CHUNK = 1024**2
_WORD = re.compile(r"[\w./-]*\w[\w./-]*")


@dataclass(frozen=True)
class Input:
    """A file that was given to a session. ``before``: the run that was the first to find it there; None: it was there from the start.

    ``local`` is a person's own file that takes its place.
    """

    path: str
    sha256: str | None
    size: int | None
    origin: str = "upload"
    before: str | None = None
    local: Path | None = None


@dataclass(frozen=True)
class Files:
    """Where a notebook's files may lie, first place first."""

    roots: Sequence[Path]
    blobs: BlobStore | None = None

    def read(self, path: str, sha256: str, limit: int) -> bytes | None:
        """Exactly the file of that hash, up to ``limit`` bytes; None when it is not to be had."""
        for root in self.roots:
            content = _read(root, path, limit)
            if content is not None and hashlib.sha256(content).hexdigest() == sha256:
                return content
        if self.blobs is not None:
            with suppress(OSError):
                content = self.blobs.get(sha256)
                return content if len(content) <= limit else None
        return None

    def copy(self, path: str, target: Path) -> str | None:
        """Copy the file that is there now; its sha256, or None when there is none."""
        for root in self.roots:
            with suppress(OSError, UnsafePath, NotFound), opened_folder(root) as fd:
                return _copy(open_beneath(fd, split_path(path), FILE_FLAGS), target)
        return None

    def copy_blob(self, sha256: str, target: Path) -> bool:
        if self.blobs is None:
            return False
        try:
            content = self.blobs.get(sha256)
        except OSError:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return True

    def find(self, path: str) -> list[str]:
        """The regular files at ``path``: itself, or all below when it is a folder; hidden ones are left out."""
        for root in self.roots:
            with suppress(OSError, UnsafePath, NotFound), opened_folder(root) as top:
                parts = split_path(path)
                if any(p.startswith(".") for p in parts):
                    return []
                fd = open_beneath(top, parts, FILE_FLAGS)
                try:
                    mode = os.fstat(fd).st_mode
                finally:
                    os.close(fd)
                if stat.S_ISREG(mode):
                    return ["/".join(parts)]
                if stat.S_ISDIR(mode):
                    return _below(top, parts)
        return []


def _below(top: int, parts: Sequence[str]) -> list[str]:
    fd = open_beneath(top, parts, FOLDER_FLAGS)
    try:
        found: list[str] = []
        for entry in walk(fd):
            if entry.kind == "file" and not any(p.startswith(".") for p in PurePosixPath(entry.path).parts):
                found.append("/".join((*parts, entry.path)))
            if len(found) > FOLDER_FILES:
                return []
        return found
    finally:
        os.close(fd)


def _read(root: Path, path: str, limit: int) -> bytes | None:
    try:
        with opened_folder(root) as top:
            fd = open_beneath(top, split_path(path), FILE_FLAGS)
    except (OSError, UnsafePath, NotFound):
        return None
    with open(fd, "rb") as file:  # noqa: PTH123
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            return None
        return file.read(limit + 1)


def _copy(fd: int, target: Path) -> str:
    """Raises OSError when it is no regular file."""
    digest = hashlib.sha256()
    with open(fd, "rb") as source:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError("not a regular file")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            while data := source.read(_CHUNK):
                digest.update(data)
                file.write(data)
    return digest.hexdigest()


def named_files(sources: Iterable[str], files: Files) -> Iterator[Input]:
    """What a foreign notebook's cells name and lies beside it: texts in Python, words in shell lines, modules it imports."""
    seen: set[str] = set()
    for source in sources:
        for name in _names(Source(source)):
            for path in files.find(name) if len(name) < 500 else ():
                if path not in seen and not path.endswith(".ipynb"):
                    seen.add(path)
                    yield Input(path, None, None)


def _names(source: Source) -> Iterator[str]:
    import ast

    for found in source.strings():
        name = found.removeprefix("./")
        if name and name not in (".", "..", "/") and "\n" not in name:
            # Of a pattern such as data/*.csv the folder.
            yield re.split(r"[*?\[]", name)[0].rpartition("/")[0] if re.search(r"[*?\[]", name) else name
    for line in source.shell:
        yield from (w.removeprefix("./") for w in _WORD.findall(line))
    for node in ast.walk(source.tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
        for name in names:
            base = name.replace(".", "/")
            yield from (f"{base}.py", name.partition(".")[0])


@dataclass
class Placed:
    """What became of the inputs: ``files`` by path with their hash, and what a person should know."""

    files: dict[str, Reference] = field(default_factory=dict[str, Reference])
    notices: list[str] = field(default_factory=list[str])
    changed: list[str] = field(default_factory=list[str])


async def place_inputs(
    inputs: Sequence[Input],
    files: Files,
    into: SessionClient,
    placed: Placed,
    mounted: Iterable[str] = (),
    *,
    is_recorded: bool = False,
) -> None:
    """Copy inputs into the workspace and record them, unless they are. What is missing or changed is said in ``placed``."""
    import asyncio

    shown = {f"inputs/{name}" for name in mounted}
    wanted = [i for i in inputs if not (i.origin == "mount" and i.path in shown)]
    with tempfile.TemporaryDirectory(prefix="cell-gateway-") as folder:
        await asyncio.to_thread(_stage, wanted, files, Path(folder), placed)
        for top in sorted(Path(folder).iterdir()):
            upload = await asyncio.to_thread(put, into.folder, top)
            for file in upload.files:
                placed.files[file.path] = Reference(file.sha256, file.bytes)
                facts = {"path": file.path, "sha256": file.sha256, "bytes": file.bytes, "mime": file.mime}
                if not is_recorded:
                    await into.record("input", origin="upload", **facts)
            if upload.top != top.name:
                placed.notices.append(f"{top.name} was there already; the recorded one is {upload.top}.")


def _stage(inputs: Sequence[Input], files: Files, folder: Path, placed: Placed) -> None:
    for one in inputs:
        try:
            target = folder.joinpath(*split_path(one.path))
        except UnsafePath:
            placed.notices.append(f"The input {one.path!r} is not a path in a workspace; left out.")
            continue
        if notice := _stage_one(one, files, target):
            placed.notices.append(notice)
            placed.changed.append(one.path)


def _stage_one(one: Input, files: Files, target: Path) -> str:
    if one.local is not None:
        fd = os.open(one.local, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        _copy(fd, target)
        return ""
    digest = files.copy(one.path, target)
    if digest != one.sha256 and files.blobs is None and _is_hidden(one.path):
        # A notebook file is anybody's word: it must not fetch the keys that lie where it was saved.
        if digest is not None:
            target.unlink()
        return f"The input {one.path} is a hidden file beside the notebook and not the recorded one; left out."
    if digest is None and one.sha256 is None and _stage_tree(one, files, target):
        return ""
    if one.sha256 is None or digest == one.sha256:
        return "" if digest else f"The input {one.path} is not there."
    if files.copy_blob(one.sha256, target):
        return ""
    if digest is None:
        return f"The input {one.path} is not there."
    return f"The input {one.path} has changed since it was recorded; it is used as it is now."


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(path).parts)


def _stage_tree(one: Input, files: Files, target: Path) -> bool:
    """A mounted folder that lies beside a notebook."""
    found = files.find(one.path)
    for path in found:
        files.copy(path, target / PurePosixPath(path).relative_to(one.path))
    return bool(found)


def with_replacements(inputs: Sequence[Input], replaced: Mapping[str, Path]) -> tuple[Input, ...]:
    """Inputs with a person's own files in place of some. Raises NotFound naming what there is."""
    known = {i.path for i in inputs}
    for path, local in replaced.items():
        if path not in known:
            there = ", ".join(sorted(known)) or "none"
            raise NotFound(f"The notebook has no input {path!r}.", f"Its inputs: {there}")
        if not local.is_file():
            raise NotFound(f"There is no file {str(local)!r}.")
    return tuple(
        replace(i, local=replaced[i.path].absolute(), sha256=None, origin="upload") if i.path in replaced else i
        for i in inputs
    )
