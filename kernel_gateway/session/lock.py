"""Locks of a session that front ends hold: flock, so that a killed holder never blocks the next one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager

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
