"""Places for mounts inside folders that a session may write, and may have filled with links."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from ..errors import UnsafePath


def make(root: Path, path: str, *, is_folder: bool, uid: int | None) -> None:
    """An empty folder or file at ``path`` below ``root``, or what is there already. Raises UnsafePath rather than follow a link."""
    try:
        _make(root, Path(path).parts, is_folder, uid)
    except OSError as error:
        raise UnsafePath(
            f"Nothing can be shown at {path}: {error.strerror}.", "Remove what is there, or choose another name."
        ) from error


def _make(root: Path, parts: tuple[str, ...], is_folder: bool, uid: int | None) -> None:
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in parts if is_folder else parts[:-1]:
            inner = _enter(name, fd, uid)
            os.close(fd)
            fd = inner
        if not is_folder:
            _make_file(parts[-1], fd, uid)
    finally:
        os.close(fd)


def _enter(name: str, folder: int, uid: int | None) -> int:
    if name == "..":
        raise OSError(errno.EINVAL, "the name leaves the folder")
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=folder)
        _give(name, folder, uid)
    return os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)


def _make_file(name: str, folder: int, uid: int | None) -> None:
    with contextlib.suppress(FileExistsError):
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder))
        _give(name, folder, uid)
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        raise OSError(errno.EINVAL, "it is not a plain file")


def _give(name: str, folder: int, uid: int | None) -> None:
    if uid is not None and os.geteuid() == 0:
        os.chown(name, uid, uid, dir_fd=folder, follow_symlinks=False)
