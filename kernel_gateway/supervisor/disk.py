"""A watch over what a session takes of the disk, where no file system of its own limits it.

Workspace, packages and record lie on the machine's own file system, so that a person finds the files with any program, a claim is
a rename, and a stopped session needs no mount. The price: the limit is watched and not enforced.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from ..session.usage import BYTES_PER_FILE, Usage

# While a cell runs, and while none does; longer where measuring itself takes long.
RUNNING_SECONDS, IDLE_SECONDS = 1.0, 15.0
_SHARE = 20
# What may be written over the limit when no cell runs that could be interrupted.
_MARGIN = 0.1
# Growth below this is not held against anybody: programs write logs and caches.
_SLACK_BYTES, _SLACK_FILES = 1024**2, 100

Verdict = Literal["fine", "full", "interrupt", "kill"]


@dataclass(frozen=True)
class Look:
    """``before`` is what the session took when its running cell began, or else the most that it was let have over its limit."""

    now: Usage
    before: Usage
    limit: int
    is_running: bool


def verdict(look: Look) -> Verdict:
    """``full`` is only told. Who takes nothing more may go on with a full disk: it may be a cell that deletes."""
    if not look.now.exceeds(look.limit):
        return "fine"
    grew = look.now.size > look.before.size + _SLACK_BYTES or look.now.files > look.before.files + _SLACK_FILES
    if not grew:
        return "full"
    if look.is_running:
        return "interrupt"
    return "kill" if look.now.exceeds(round(look.limit * (1 + _MARGIN))) else "full"


def pause(seconds_taken: float, *, is_running: bool) -> float:
    """Seconds until the next look, so that looking takes a twentieth of the time at most."""
    return max(RUNNING_SECONDS if is_running else IDLE_SECONDS, _SHARE * seconds_taken)


def full_notice(usage: Usage, limit: int) -> str:
    if usage.size > limit:
        what = f"{usage.size:,} bytes of disk; it may use {limit:,}"
    else:
        what = f"{usage.files:,} files; it may have {limit // BYTES_PER_FILE:,}"
    return f"The session uses {what}. A cell that writes more is interrupted: delete files first."


class DiskWatch:
    """Measures again and again; ``on_verdict`` is told what is not fine, ``full`` once, with the text for a person or model."""

    def __init__(
        self, measure: Callable[[], Awaitable[Usage]], limit: int, on_verdict: Callable[[Verdict, str], None]
    ) -> None:
        self._measure, self._limit, self._on_verdict = measure, limit, on_verdict
        self._is_running = False
        # None until the next look, which then is where the cell, or the session, began.
        self._at_begin: Usage | None = None
        self._most: Usage | None = None
        self._is_told = False
        self._look_now = asyncio.Event()

    def turned(self, *, is_running: bool) -> None:
        """A cell begins or ends."""
        self._is_running, self._at_begin = is_running, None
        self._look_now.set()

    async def work(self) -> None:
        """For ever."""
        loop = asyncio.get_running_loop()
        while True:
            self._look_now.clear()
            began = loop.time()
            self._judge(await self._measure())
            await self._until_next(loop.time() - began)

    def _judge(self, now: Usage) -> None:
        self._at_begin, self._most = self._at_begin or now, self._most or now
        before = self._at_begin if self._is_running else self._most
        found = verdict(Look(now, before, self._limit, self._is_running))
        self._most = now if found == "fine" else max(now, self._most, key=lambda u: u.size)
        if found in ("interrupt", "kill") or (found == "full" and not self._is_told):
            self._on_verdict(found, full_notice(now, self._limit))
        self._is_told = found != "fine"

    async def _until_next(self, taken: float) -> None:
        """Never sooner than the pause of a running cell: many short cells are one long one."""
        short = pause(taken, is_running=True)
        await asyncio.sleep(short)
        if not self._is_running:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._look_now.wait(), max(0.0, pause(taken, is_running=False) - short))
