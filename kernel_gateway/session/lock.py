"""Locks of a session that front ends hold: flock, so that a killed holder never blocks the next one."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager

from ..errors import SessionBusy
from .folder import SessionFolder


@contextmanager
def turn_lock(folder: SessionFolder) -> Generator[None, None, None]:
    """Hold ``.session/turn``: one turn of the model at a time. Does not wait.

    Raises SessionBusy, naming the process that holds it.
    """
    # Close-on-exec, so that no child of the holder keeps the lock alive.
    fd = os.open(folder.internals / "turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(folder, fd) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(fd)


def _busy(folder: SessionFolder, fd: int) -> SessionBusy:
    holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
    who = f"process {holder}" if holder else "another process"
    return SessionBusy(
        f"The session {folder.id} is in the middle of a turn, which {who} runs.", "Wait for it, or interrupt it there."
    )


@asynccontextmanager
async def resume_lock(folder: SessionFolder, on_wait: Callable[[], None] = lambda: None) -> AsyncGenerator[None]:
    """Hold ``.session/resume``: one front end brings a session back, all others wait for it. ``on_wait`` is called when that is so.

    Whoever gets it looks anew whether the session is still stopped.
    """
    async with hold(folder, "resume", on_wait):
        yield


@asynccontextmanager
async def hold(folder: SessionFolder, name: str, on_wait: Callable[[], None] = lambda: None) -> AsyncGenerator[None]:
    """Hold the lock ``.session/<name>``, waiting for it; whoever is cancelled meanwhile does not get it later."""
    fd = os.open(folder.internals / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        on_wait()
        await _locked(fd)
    try:
        yield
    finally:
        os.close(fd)


async def _locked(fd: int) -> None:
    """Waits in a thread that nobody waits for: Ctrl-C leaves at once, and the descriptor is closed once it has the lock."""
    loop, got = asyncio.get_running_loop(), asyncio.Event()
    is_left = threading.Event()

    def wait() -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)
        if is_left.is_set():
            os.close(fd)
        else:
            loop.call_soon_threadsafe(got.set)

    threading.Thread(target=wait, daemon=True).start()
    try:
        await got.wait()
    except asyncio.CancelledError:
        is_left.set()
        raise
