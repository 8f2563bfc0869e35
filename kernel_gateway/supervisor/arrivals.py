"""Wait for files to appear in a folder (inotify), so that nobody polls for a kernel's sockets."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import stat
from collections.abc import Iterable
from pathlib import Path

from ..errors import KernelDied

_IN_CREATE, _IN_MOVED_TO = 0x100, 0x80
_libc = ctypes.CDLL(None, use_errno=True)


async def sockets_listening(folder: Path, names: Iterable[str], owner: int) -> None:
    """Return when each name is a unix socket that listens and belongs to ``owner``.

    Raises KernelDied when something else lies there: what is inside the sandbox may write to this folder.
    """
    loop, created = asyncio.get_running_loop(), asyncio.Event()
    fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")

    def read_events() -> None:
        os.read(fd, 65536)
        created.set()

    try:
        _libc.inotify_add_watch(fd, os.fsencode(folder), _IN_CREATE | _IN_MOVED_TO)
        loop.add_reader(fd, read_events)
        for name in names:
            while not await _listens(folder / name, owner):
                created.clear()
                # A socket exists a moment before it listens; that moment has no event of its own.
                try:
                    await asyncio.wait_for(created.wait(), 0.02)
                except asyncio.TimeoutError:
                    continue
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def open_kernel_socket(path: Path, owner: int) -> int:
    """The O_PATH descriptor of a socket of ``owner``: what is put in its place later changes nothing. The caller closes it.

    Raises FileNotFoundError, and KernelDied when something else lies there, a link for one.
    """
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    status = os.fstat(fd)
    if stat.S_ISSOCK(status.st_mode) and status.st_uid == 0 != owner:
        # gVisor's file server makes it as root and gives it away a moment later; nobody inside can make one of root's.
        os.close(fd)
        raise FileNotFoundError(path)
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != owner:
        os.close(fd)
        raise KernelDied("crash", f"{path.name} is not a socket of the kernel.")
    return fd


async def _listens(path: Path, owner: int) -> bool:
    try:
        fd = open_kernel_socket(path, owner)
    except FileNotFoundError:
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            probe.connect(f"/proc/self/fd/{fd}")
    except (ConnectionRefusedError, BlockingIOError):
        return False
    finally:
        os.close(fd)
    return True
