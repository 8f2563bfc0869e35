"""Writing, moving, copying and deleting below a folder, while code inside puts links in place of folders at any moment.

Each function goes down from the root's descriptor without following a link, and acts in the folder that it then holds open; what is
put elsewhere meanwhile stays below the root. ``path`` is absolute and below ``root``; ``owner`` is the uid that what is made belongs
to, None for ours. All raise OSError: ELOOP or ENOTDIR for a link on the way, ENOENT, EEXIST, ENOTEMPTY and so on.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ..session.beneath import FILE_FLAGS, FOLDER_FLAGS, Entry, open_beneath, opened_folder, walk

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# A fifo must not make us wait.
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@contextmanager
def parent_of(root: Path, path: Path) -> Generator[tuple[int, str]]:
    """The descriptor of the folder that it lies in, and its name there."""
    parts = path.relative_to(root).parts
    if not parts:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
    with opened_folder(root) as top:
        folder = open_beneath(top, parts[:-1], FOLDER_FLAGS) if parts[:-1] else os.dup(top)
    try:
        yield folder, parts[-1]
    finally:
        os.close(folder)


@contextmanager
def replacing(root: Path, path: Path, owner: int | None, mode: str, **options: Any) -> Generator[IO[Any]]:
    """A file that takes the name when it is whole and on disk. What had the name is replaced, also a link, and never written through.

    ``mode`` and ``options`` are those of `open`.
    """
    with parent_of(root, path) as (folder, name), _new_file(folder, name, owner, mode, **options) as file:
        yield file


@contextmanager
def _new_file(folder: int, name: str, owner: int | None, mode: str, **options: Any) -> Generator[IO[Any]]:
    permissions = _permissions(folder, name)
    temporary = f".~{secrets.token_hex(8)}"
    fd = os.open(temporary, _CREATE, 0o600, dir_fd=folder)
    try:
        with os.fdopen(fd, mode, **options) as file:
            yield file
            file.flush()
            if owner is not None:
                os.fchown(fd, owner, owner)
            os.fchmod(fd, permissions)
            os.fsync(fd)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _permissions(folder: int, name: str) -> int:
    """Those of the file that it replaces."""
    with suppress(OSError):
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            return status.st_mode & 0o777
    return 0o644


def append(root: Path, path: Path, data: bytes) -> None:
    """To a regular file that there is."""
    with opened_folder(root) as top:
        fd = open_beneath(top, path.relative_to(root).parts, _APPEND)
    with os.fdopen(fd, "wb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "This is no regular file")
        file.write(data)


def make_folder(root: Path, path: Path, owner: int | None) -> None:
    """One that is there already is left as it is."""
    with parent_of(root, path) as (folder, name):
        try:
            _new_folder(folder, name, owner)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise


def _new_folder(parent: int, name: str, owner: int | None) -> None:
    os.mkdir(name, 0o755, dir_fd=parent)
    if owner is not None:
        fd = os.open(name, FOLDER_FLAGS, dir_fd=parent)
        try:
            os.fchown(fd, owner, owner)
        finally:
            os.close(fd)


def remove(root: Path, path: Path) -> None:
    """A file, a link itself, or an empty folder."""
    with parent_of(root, path) as (folder, name):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            os.rmdir(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)


def move(root: Path, old: Path, new: Path) -> None:
    """FileExistsError when the new name is taken; EXDEV between file systems."""
    with parent_of(root, old) as (source, name), parent_of(root, new) as (target, new_name):
        with suppress(FileNotFoundError):
            found = os.stat(new_name, dir_fd=target, follow_symlinks=False)
            if not os.path.samestat(found, os.stat(name, dir_fd=source, follow_symlinks=False)):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new))
        os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)


def copy_folder(root: Path, source: Path, target: Path, owner: int | None) -> None:
    """Its files and folders. Links, devices and what cannot be read are left out: what a link names is not the session's."""
    with opened_folder(root) as top:
        origin = open_beneath(top, source.relative_to(root).parts, FOLDER_FLAGS)
    try:
        # Before the new one is there, which may lie in it.
        entries = list(walk(origin))
        with parent_of(root, target) as (parent, name):
            _new_folder(parent, name, owner)
            copy = os.open(name, FOLDER_FLAGS, dir_fd=parent)
        try:
            for entry in entries:
                _copy_entry(entry, origin, copy, owner)
        finally:
            os.close(copy)
    finally:
        os.close(origin)


def _copy_entry(entry: Entry, origin: int, copy: int, owner: int | None) -> None:
    *above, name = entry.path.split("/")
    folder = open_beneath(copy, above, FOLDER_FLAGS) if above else os.dup(copy)
    try:
        if entry.kind == "folder":
            _new_folder(folder, name, owner)
        elif entry.kind == "file":
            fd = open_beneath(origin, [*above, name], FILE_FLAGS)
            with os.fdopen(fd, "rb") as found:
                # It may be something else by now.
                if stat.S_ISREG(os.fstat(fd).st_mode):
                    with _new_file(folder, name, owner, "wb") as file:
                        shutil.copyfileobj(found, file)
    finally:
        os.close(folder)
