"""Ctrl-C: the first interrupts what runs inside, the second leaves; what runs goes on then."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .say import say

T = TypeVar("T")


class Left(Exception):
    """The person left while something was running; it goes on without them."""


async def interruptible(work: Awaitable[T], interrupt: Callable[[], Awaitable[object]]) -> T:
    """Wait for ``work``; at Ctrl-C call ``interrupt`` and wait on; at the next one raise Left. Main thread only."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    interrupting: list[asyncio.Future[object]] = []

    def on_signal() -> None:
        if interrupting:
            task.cancel()
            return
        say("\nInterrupting. Once more to leave; the session goes on then.")
        interrupting.append(asyncio.ensure_future(interrupt()))

    loop.add_signal_handler(signal.SIGINT, on_signal)
    try:
        return await task
    except asyncio.CancelledError:
        if interrupting:
            raise Left from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        for future in interrupting:
            future.cancel()
        await asyncio.gather(*interrupting, return_exceptions=True)
