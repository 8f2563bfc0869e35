"""Sessions that nobody uses: frozen after a while, stopped after a long while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

# Of one processor, in a background process: what uses less only waits.
BUSY_SHARE = 0.01
LONGEST_CHECK_SECONDS, SHORTEST_CHECK_SECONDS = 60.0, 0.05

Decision = Literal["run", "freeze", "stop"]


@dataclass(frozen=True)
class Glance:
    """A session at one moment: ``time`` (monotonic) and ``cpu`` (used by its processes) in seconds; ``records``: its journal's length."""

    time: float
    records: int
    is_running: bool
    cpu: float


def idle_since(earlier: Glance, later: Glance, since: float) -> float:
    """From when on nothing happened: ``since``, or the later moment when something did between the two.

    Something is a cell, any record (a prompt, late output of a background job) and a background process that computes.
    """
    used = later.cpu - earlier.cpu
    is_busy = used > BUSY_SHARE * max(later.time - earlier.time, SHORTEST_CHECK_SECONDS)
    if earlier.is_running or later.is_running or later.records != earlier.records or is_busy:
        return later.time
    return since


def decide(idle_seconds: float, freeze: float, stop: float) -> Decision:
    """What an idle session is due for; a limit of 0 means never."""
    if stop and idle_seconds >= stop:
        return "stop"
    return "freeze" if freeze and idle_seconds >= freeze else "run"


def check_seconds(freeze: float, stop: float) -> float | None:
    """How often to look; None when there is nothing to look for."""
    limits = [limit for limit in (freeze, stop) if limit]
    if not limits:
        return None
    return min(LONGEST_CHECK_SECONDS, max(SHORTEST_CHECK_SECONDS, min(limits) / 4))


class IdleWatch:
    """Looks again and again, and calls ``freeze`` and ``stop`` when they are due."""

    def __init__(
        self,
        limits: tuple[float, float],
        glance: Callable[[], Awaitable[Glance]],
        freeze: Callable[[], Awaitable[bool]],
        stop: Callable[[], None],
    ) -> None:
        self._freeze_after, self._stop_after = limits
        self._glance, self._freeze, self._stop = glance, freeze, stop

    async def work(self) -> None:
        """For ever, or until it has stopped the session."""
        pause = check_seconds(self._freeze_after, self._stop_after)
        if pause is None:
            await asyncio.Event().wait()
            return None
        last = await self._glance()
        since = last.time
        while True:
            await asyncio.sleep(pause)
            now = await self._glance()
            since, last = idle_since(last, now, since), now
            decision = decide(now.time - since, self._freeze_after, self._stop_after)
            if decision == "stop":
                return self._stop()
            if decision == "freeze":
                await self._freeze()
