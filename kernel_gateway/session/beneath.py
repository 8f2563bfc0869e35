"""Opening, walking and deleting beneath a folder that hostile code writes to at the same time.

Every function takes a folder's descriptor and goes down from it: no link is followed, no absolute path is used, no
depth is too deep. Names are text as `os.fsdecode` gives it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import NotFound, UnsafePath

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a fifo or device must neither wait nor make it our terminal.
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_SYS_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x02, 0x04, 0x08
_PATH_MAX = 4096
_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


@dataclass(frozen=True)
class Entry:
    """One thing in a tree: ``path`` relative to the root of the walk, ``kind`` what it is itself (a link is never
    followed).
    """

    path: str
    kind: str
    size: int
    modified: float
    mode: int


def split_path(path: str) -> tuple[str, ...]:
    """The components of a relative path. Raises UnsafePath when it is absolute, empty, or has ``..`` in it."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        raise UnsafePath(f"{path!r} is not a path below the workspace.", "Name it as `cell-gateway files ls` shows it.")
    return parts


@contextmanager
def opened_folder(path: Path) -> Generator[int]:
    """The descriptor of a folder whose parents are trusted; it may not be a link. Raises NotFound, UnsafePath."""
    try:
        fd = os.open(path, FOLDER_FLAGS)
    except FileNotFoundError:
        raise NotFound(f"There is no folder {path}.") from None
    except OSError as error:
        raise UnsafePath(f"{path} cannot be opened as a folder: {error.strerror}.") from error
    try:
        yield fd
    finally:
        os.close(fd)


def open_beneath(root: int, parts: Sequence[str], flags: int = FILE_FLAGS) -> int:
    """Open what lies below ``root`` without ever leaving it or following a link; the caller closes.

    Raises OSError: ELOOP for a link, ENOENT, ENOTDIR, ENXIO and so on.
    """
    path = b"/".join(os.fsencode(p) for p in parts)
    if len(path) < _PATH_MAX:
        for _ in range(16):
            fd = _openat2(root, path, flags)
            if fd >= 0:
                return fd
            code = ctypes.get_errno()
            if code in (errno.ENOSYS, errno.EPERM, errno.E2BIG):
                break
            # A rename while the path was walked: nothing was wrong yet.
            if code not in (errno.EAGAIN, errno.EINTR):
                raise OSError(code, os.strerror(code), "/".join(parts))
    return open_stepwise(root, parts, flags)


def _openat2(root: int, path: bytes, flags: int) -> int:
    how = _OpenHow(flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS)
    number, size = ctypes.c_long(_SYS_OPENAT2), ctypes.c_size_t(ctypes.sizeof(how))
    return int(_libc.syscall(number, ctypes.c_int(root), ctypes.c_char_p(path), ctypes.byref(how), size))


def open_stepwise(root: int, parts: Sequence[str], flags: int = FILE_FLAGS) -> int:
    """`open_beneath` one component at a time: for kernels without openat2 and paths longer than those take."""
    current = os.dup(root)
    try:
        for part in parts[:-1]:
            below = os.open(part, FOLDER_FLAGS, dir_fd=current)
            os.close(current)
            current = below
        return os.open(parts[-1], flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
    finally:
        os.close(current)


@dataclass(slots=True)
class Level:
    """A folder on the way down: what it is, its path with a slash at the end, and the folders in it still to enter,
    last first.
    """

    identity: tuple[int, int]
    prefix: str
    todo: list[str]


def walk(root: int) -> Iterator[Entry]:
    """Everything below ``root``, parents before their children, each folder sorted by name; links are listed, never
    followed.

    Two descriptors are open at any depth. A folder that cannot be read, or is moved away meanwhile, is listed without
    its content.
    """
    current = os.dup(root)
    stack: list[Level] = []
    try:
        entries, level = _scan(current, "")
        yield from entries
        stack.append(level)
        while stack:
            if not stack[-1].todo:
                stack.pop()
                current = climb(root, current, stack)
                continue
            prefix = f"{stack[-1].prefix}{stack[-1].todo.pop()}/"
            if (below := _enter(current, prefix)) is None:
                continue
            os.close(current)
            current, entries, level = below
            yield from entries
            stack.append(level)
    finally:
        os.close(current)


def _enter(current: int, prefix: str) -> tuple[int, list[Entry], Level] | None:
    try:
        fd = os.open(prefix.split("/")[-2], FOLDER_FLAGS, dir_fd=current)
    except OSError:
        return None
    try:
        return fd, *_scan(fd, prefix)
    except OSError:
        os.close(fd)
        return None


def climb(root: int, current: int, stack: list[Level]) -> int:
    """The descriptor of the stack's last level in place of ``current``; levels that are not where they were are
    dropped.
    """
    parent = os.open("..", FOLDER_FLAGS, dir_fd=current) if stack else os.dup(current)
    os.close(current)
    while stack and identity_of(parent) != stack[-1].identity:
        os.close(parent)
        parts = stack[-1].prefix.split("/")[:-1]
        try:
            parent = open_beneath(root, parts, FOLDER_FLAGS) if parts else os.dup(root)
        except OSError:
            parent = os.dup(root)
        if identity_of(parent) != stack[-1].identity:
            stack.pop()
    return parent


def identity_of(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _scan(fd: int, prefix: str) -> tuple[list[Entry], Level]:
    entries: list[Entry] = []
    with os.scandir(fd) as found:
        for item in found:
            with suppress(FileNotFoundError):
                entries.append(_entry(prefix + item.name, item.stat(follow_symlinks=False)))
    entries.sort(key=lambda e: e.path)
    folders = [e.path[len(prefix) :] for e in reversed(entries) if e.kind == "folder"]
    return entries, Level(identity_of(fd), prefix, folders)


def _entry(path: str, status: os.stat_result) -> Entry:
    kinds = {
        stat.S_IFREG: "file",
        stat.S_IFDIR: "folder",
        stat.S_IFLNK: "link",
        stat.S_IFIFO: "fifo",
        stat.S_IFSOCK: "socket",
    }
    kind = kinds.get(stat.S_IFMT(status.st_mode), "device")
    return Entry(path, kind, status.st_size, status.st_mtime, stat.S_IMODE(status.st_mode))


def delete_tree(path: Path) -> None:
    """Remove a folder and all below it, however deep, without following a link; a missing one is no error.

    Nothing may be running in it any more. Folders found inside are first moved up to the top, so that two descriptors
    suffice and no path grows; what a person of the same uid made unreadable is made readable first.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
            return
        make_accessible(path.name, None, path)
        with opened_folder(path) as root:
            while folders := _empty_once(root, root):
                for name in folders:
                    _empty_into(root, name)
        path.rmdir()


def _empty_into(root: int, name: str) -> None:
    make_accessible(name, root)
    folder = os.open(name, FOLDER_FLAGS, dir_fd=root)
    try:
        while _empty_once(folder, root):
            pass
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=root)


def _empty_once(folder: int, root: int) -> list[str]:
    """Unlink the files of a folder; its folders move up to ``root`` under new names, or are returned when it is the
    root itself.
    """
    with os.scandir(folder) as found:
        items = [(item.name, item.is_dir(follow_symlinks=False)) for item in found]
    for name, _ in (item for item in items if not item[1]):
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
    folders = [name for name, is_folder in items if is_folder]
    if folder != root:
        for name in folders:
            make_accessible(name, folder)
            os.rename(name, f".delete-{secrets.token_hex(8)}", src_dir_fd=folder, dst_dir_fd=root)
    return folders


def make_accessible(name: str, dir_fd: int | None, path: Path | None = None) -> None:
    """Let the owner of a folder, which we are or stand above, read, change and pass it."""
    fd = os.open(path or name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        mode = os.fstat(fd).st_mode
        if mode & 0o700 != 0o700:
            # An O_PATH descriptor takes no fchmod; its magic link does.
            os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(mode) | 0o700)  # noqa: PTH101
    finally:
        os.close(fd)
