"""A turn of the model, told as events. It goes on when the reader leaves: the journal is the truth."""

from __future__ import annotations

import asyncio
from typing import Any

from ...agent.conversation import Attachment
from ...agent.listener import Silent
from ...agent.model import Model
from ...agent.pricing import Budget, Usage, require_price
from ...agent.turn import Turn, TurnResult
from ...config import Settings
from ...errors import SessionBusy
from ...session.folder import SessionFolder
from ...supervisor.client import SessionClient
from ...supervisor.runs import Output, RunResult
from .base import guarded
from .files import attached
from .stream import Events, StreamHandler, background
from .waking import awake


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


def model_for(gateway: Any, settings: Settings, folder: SessionFolder, chosen: str | None) -> Model:
    """The one that is asked for, else the session's, else the settings'; with the key that the server holds."""
    name = chosen or folder.read().get("model") or settings["model"]
    connected = getattr(gateway, "model", None)
    if callable(connected):
        found: Any = connected(name)
        return found
    from ...cli.keys import require_key, stand_in_key

    require_key()
    return Model.connect(name, api_key=stand_in_key(), prices=settings.prices)


class Turns(StreamHandler):
    @guarded
    async def post(self, name: str) -> None:
        folder, body = self.session(name), self.body()
        turns: dict[str, Turn] = self.settings.setdefault("cell_gateway_turns", {})
        if folder.id in turns:
            raise SessionBusy(f"The session {folder.id} is in the middle of a turn.", "Wait, or POST …/interrupt.")
        model = model_for(self.gateway, self.gateway_settings, folder, body.get("model"))
        budget = Budget(body.get("max_turns", 50), body.get("max_cost"))
        if budget.max_cost is not None:
            require_price(model.name, model.price)
        attachments = await attached(folder, body.get("files", []))
        events = Events()
        task = asyncio.create_task(self._work(folder, model, budget, body["prompt"], attachments, events))
        background(self.settings, task)
        await self.write_events(events)

    async def _work(
        self,
        folder: SessionFolder,
        model: Model,
        budget: Budget,
        prompt: str,
        attachments: list[Attachment],
        events: Events,
    ) -> None:
        turns: dict[str, Turn] = self.settings["cell_gateway_turns"]
        failed: BaseException | None = None
        try:
            async with awake(self.gateway_settings, folder) as client:
                turn = await self._turn(client, model, budget, events)
                turns[folder.id] = turn
                asking = asyncio.create_task(client.questions(lambda found: events.put(found["event"], found)))
                try:
                    await turn.resume()
                    result = await turn.ask(prompt, attachments)
                finally:
                    asking.cancel()
                    await asyncio.gather(asking, return_exceptions=True)
                await client.notebook()
            events.put("end", described(folder, result))
        except BaseException as error:
            failed = error
            raise
        finally:
            turns.pop(folder.id, None)
            await model.close()
            events.end(failed)

    async def _turn(self, client: SessionClient, model: Model, budget: Budget, events: Events) -> Turn:
        from ...cli.turns import Ground

        ground = await Ground.of(self.gateway_settings, client)
        await model.learn()
        return Turn(client, model, Telling(events), budget, system=ground.system, convert=ground.convert)


def described(folder: SessionFolder, result: TurnResult) -> dict[str, Any]:
    return {
        "session": folder.id,
        "turn": result.turn,
        "stop_reason": result.stop_reason,
        "text": result.text,
        "calls": result.calls,
        "usage": result.usage.to_json(),
        "cost": result.cost,
        "presented": [dict(f) for f in result.presented],
        "changed": [dict(f) for f in result.changed],
    }
