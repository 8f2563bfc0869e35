"""The few Linux calls that Python 3.10 does not offer. All raise OSError."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import select
import sys
import warnings

CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC = 0x1, 0x2, 0x4, 0x20, 0x1000, 0x4000
MS_PRIVATE, MS_SLAVE = 0x40000, 0x80000
PR_SET_CHILD_SUBREAPER = 36

# Descriptors of ours lie above those that a child gives a meaning (0 to 3).
FIRST_FREE_FD = 10

_libc = ctypes.CDLL(None, use_errno=True)
# Elsewhere the module can be imported, so that the doctor can say what is missing.
if sys.platform.startswith("linux"):
    _libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
    _libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
    _libc.unshare.argtypes = (ctypes.c_int,)
    _libc.setns.argtypes = (ctypes.c_int, ctypes.c_int)


def is_readable(fd: int, seconds: float = 0) -> bool:
    """Whether there is something to read, or a process has ended, at once or within that time. select() takes no descriptor above 1023,
    which a server with a hundred sessions has.
    """
    waiting = select.poll()
    waiting.register(fd, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def unshare(flags: int) -> None:
    _checked(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    _checked(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, options: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    _checked(_libc.mount(encoded[0], encoded[1], encoded[2], flags, encoded[3]), target)


def prctl(option: int, value: int) -> None:
    _checked(_libc.prctl(option, value, 0, 0, 0), "prctl")


def fork() -> int:
    """``os.fork``, also where threads run: the child must only make system calls and then exec or end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def fork_apart() -> int:
    """`fork` for root, with the child as process 1 of a pid namespace: whatever it starts ends before it does."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(CLONE_NEWPID)
        pid = -1
        try:
            pid = fork()
        finally:
            # Where the next children go; we ourselves never left, and the child cannot come back.
            if pid != 0:
                setns(own, CLONE_NEWPID)
    finally:
        os.close(own)
    return pid


def moved_up(fd: int) -> int:
    """The same file under a close-on-exec descriptor of `FIRST_FREE_FD` or more; the old one is closed."""
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE_FD)
    finally:
        os.close(fd)


def pipe() -> tuple[int, int]:
    """The reading and the writing end, both close-on-exec."""
    reader, writer = os.pipe()
    return moved_up(reader), moved_up(writer)


def memory_file(data: bytes) -> int:
    """A descriptor from which ``data`` can be read once, without a file on any disk."""
    fd = moved_up(os.memfd_create("data"))
    with open(fd, "wb", closefd=False) as stream:
        stream.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


async def readable(fd: int) -> None:
    """Return when ``fd`` has something to read: bytes, end of file, or for a pidfd the end of its process."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _checked(result: int, name: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)
