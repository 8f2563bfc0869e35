"""A turn of the model, told as events. It goes on when the reader leaves: the journal is the truth."""

from __future__ import annotations

import asyncio
from typing import Any

from ...agent.listener import Silent
from ...agent.pricing import Budget, Usage
from ...errors import NotFound
from ...supervisor.runs import Output, RunResult
from ..turns import Running
from .base import guarded
from .files import attached
from .stream import Events, StreamHandler


class Telling(Silent):
    """What a turn says, as events."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def text(self, delta: str) -> None:
        self._events.put("words", {"text": delta})

    def thinking(self, delta: str) -> None:
        self._events.put("thinking", {"text": delta})

    def retract(self, reason: str) -> None:
        self._events.put("retract", {"reason": reason})

    def tool_start(self, tool: str, cell: str, source: str) -> None:
        self._events.put("cell", {"tool": tool, "cell": cell, "source": source})

    def outputs(self, outputs: list[Output]) -> None:
        self._events.put("output", [{k: v for k, v in o.items() if k != "transient"} for o in outputs])

    def tool_end(self, result: RunResult) -> None:
        shown = ("cell", "exit", "execution_count", "duration", "files", "notice")
        self._events.put("cell_end", {k: getattr(result, k) for k in shown})

    def usage(self, usage: Usage, cost: float | None) -> None:
        self._events.put("usage", {**usage.to_json(), "cost": cost})

    def notice(self, text: str) -> None:
        self._events.put("notice", {"text": text})

    def question(self, event: dict[str, Any]) -> None:
        self._events.put(event["event"], event)


class Followed(StreamHandler):
    async def follow(self, running: Running, telling: Telling, events: Events) -> None:
        """Until the turn ends or the reader leaves; the turn goes on then, and its questions are nobody's."""
        ending = asyncio.create_task(_end(running, events))
        try:
            await self.write_events(events)
        finally:
            ending.cancel()
            running.leave(telling)


class Turns(Followed):
    @guarded
    async def post(self, name: str) -> None:
        folder, body, events = self.session(name), self.body(), Events()
        budget, telling = Budget(body.get("max_turns", 50), body.get("max_cost")), Telling(events)
        attachments = await attached(folder, body.get("files", []))
        asked = (body["prompt"], attachments, body.get("id"))
        running = self.turns.begin(folder, asked, telling, model=body.get("model"), budget=budget)
        await self.follow(running, telling, events)


class Current(Followed):
    """The turn that runs, for a reader who comes or comes back."""

    @guarded
    async def get(self, name: str) -> None:
        running, events = self.turns.running(self.session(name)), Events()
        if running is None:
            raise NotFound(f"No turn of {name} runs here.", "What was said is in GET …/notebook")
        telling = Telling(events)
        running.join(telling)
        await self.follow(running, telling, events)


async def _end(running: Running, events: Events) -> None:
    await asyncio.wait([running.ended])
    error = running.ended.exception()
    if error is None:
        events.put("end", {"session": running.folder.id, **running.ended.result().to_json()})
    events.end(error)
