"""The state of a session, its end, and what is deleted."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import SessionBusy, SupervisorUnavailable
from ..supervisor.client import connect
from .create import remove_session
from .folder import SessionFolder
from .lock import turn_lock

State = Literal["running", "idle", "frozen", "stopped"]


@dataclass(frozen=True)
class Standing:
    """Whether a supervisor lives, and what it says of itself (empty when stopped)."""

    state: State
    hello: dict[str, Any]


async def standing_of(folder: SessionFolder) -> Standing:
    """``running``: a cell runs; ``idle``: a kernel waits, or starts with the next cell; ``frozen``: it goes on with the next cell;
    ``stopped``: no supervisor lives.
    """
    try:
        async with connect(folder, start=False) as client:
            hello = await client.hello()
    except SupervisorUnavailable:
        return Standing("stopped", {})
    known: dict[str, State] = {"busy": "running", "frozen": "frozen"}
    return Standing(known.get(str(hello.get("state")), "idle"), hello)


async def stop_session(folder: SessionFolder) -> bool:
    """End kernel and supervisor; False when none was there."""
    try:
        async with connect(folder, start=False) as client:
            await client.stop()
    except SupervisorUnavailable:
        return False
    return True


async def delete_session(folder: SessionFolder) -> None:
    """Stop it and delete all that it has. Raises SessionBusy while a turn of the model is in progress."""
    with turn_lock(folder):
        await stop_session(folder)
        with held(folder):
            remove_session(folder)


@contextmanager
def held(folder: SessionFolder) -> Generator[None]:
    """The lock that a supervisor holds for life: whoever has it may change the files of a stopped session."""
    fd = os.open(folder.internals / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise SessionBusy(f"The session {folder.id} was started again meanwhile.", "Try again.") from None
    finally:
        os.close(fd)


def last_used(folder: SessionFolder) -> float:
    """Seconds since the epoch: the time of the last record, else of the folder."""
    path = folder.journal if folder.journal.exists() else folder.path
    return path.stat().st_mtime


def unused_since(folders: Iterable[SessionFolder], before: float) -> list[SessionFolder]:
    return [folder for folder in folders if last_used(folder) < before]
