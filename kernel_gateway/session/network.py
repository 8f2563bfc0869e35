"""The network of a session that may not be running: what a person says holds from its next start on."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager

from ..egress.audit import append
from ..egress.state import EgressState
from ..errors import SupervisorUnavailable
from ..journal import now
from ..supervisor.client import connect
from .folder import SessionFolder


async def cut_off(folder: SessionFolder, *, by: str, undo: bool = False) -> None:
    """End all traffic; nothing passes until ``undo``."""
    try:
        async with connect(folder, start=False) as client:
            await client.cut(by=by, undo=undo)
    except SupervisorUnavailable:
        with stopped(folder) as state:
            state.is_cut = not undo
        event = {"event": "open again" if undo else "cut", "by": by}
        append(folder.internals / "audit.jsonl", {"time": now(), **event})


@contextmanager
def stopped(folder: SessionFolder) -> Generator[EgressState]:
    """A stopped session's state, changed under the lock that a supervisor would hold."""
    fd = os.open(folder.internals / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        path = folder.internals / "egress.json"
        state = EgressState.load(path)
        yield state
        state.save(path)
    finally:
        os.close(fd)
