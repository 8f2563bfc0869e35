"""Questions that code asks of the network, put to the person at the terminal while a cell runs. No answer is no."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

from ..egress.hosts import MEANINGS
from ..errors import GatewayError
from ..session.opening import owner_name
from ..supervisor.client import SessionClient
from ..terminal import escape_name
from .say import is_terminal, say


@asynccontextmanager
async def answering(client: SessionClient) -> AsyncGenerator[None]:
    """While this lasts the person answers, where there is a terminal; elsewhere nobody does."""
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        yield
        return
    desk = _Desk(client)
    tasks = [asyncio.create_task(desk.listen()), asyncio.create_task(desk.work())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Desk:
    """One question after another."""

    def __init__(self, client: SessionClient) -> None:
        self._client = client
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._settled: dict[str, asyncio.Event] = {}

    async def listen(self) -> None:
        # An older supervisor knows no questions.
        with suppress(GatewayError):
            await self._client.questions(self._on_event)

    def _on_event(self, event: dict[str, Any]) -> None:
        if event["event"] == "question":
            self._settled[event["question"]] = asyncio.Event()
            self._waiting.put_nowait(event)
        elif (settled := self._settled.get(event["question"])) is not None:
            settled.set()

    async def work(self) -> None:
        while True:
            question = await self._waiting.get()
            settled = self._settled[question["question"]]
            if not settled.is_set():
                await self._put(question, settled)
            del self._settled[question["question"]]

    async def _put(self, question: dict[str, Any], settled: asyncio.Event) -> None:
        say("\n" + worded(question))
        print("Allow it for this session? [y/N] ", end="", file=sys.stderr, flush=True)
        line = asyncio.ensure_future(_line())
        over = asyncio.ensure_future(settled.wait())
        try:
            await asyncio.wait({line, over}, return_when=asyncio.FIRST_COMPLETED)
            if not line.done():
                say("\nIt is settled: no answer came in time, or another front end gave one.")
                return
            yes = line.result().strip().lower() in ("y", "yes")
            with suppress(GatewayError):
                await self._client.answer(question["question"], allow=yes, by=owner_name())
        finally:
            line.cancel()
            over.cancel()
            await asyncio.gather(line, over, return_exceptions=True)


def worded(question: dict[str, Any]) -> str:
    """The question, with what a yes would mean."""
    host, mode = escape_name(str(question["host"])), str(question["as"])
    request = (
        ""
        if mode == "tunnel"
        else f" ({escape_name(str(question['method']))} {escape_name(str(question['path'])[:200])})"
    )
    return (
        f"The code that runs wants to reach {host} as {mode}{request}.\n"
        f"That means: {MEANINGS[mode]}.\n"
        f"No answer within {float(question['seconds']):g} s means no."
    )


async def _line() -> str:
    """A line of the terminal; cancelling it loses nothing but what was typed."""
    loop = asyncio.get_running_loop()
    fd = sys.stdin.fileno()
    readable = loop.create_future()
    loop.add_reader(fd, lambda: readable.done() or readable.set_result(None))
    try:
        await readable
    finally:
        loop.remove_reader(fd)
    return os.read(fd, 4096).decode("utf-8", "replace")
