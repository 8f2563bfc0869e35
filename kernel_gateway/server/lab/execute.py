"""Lab's Run button: ``POST /api/kernels/<id>/execute`` names a cell, and the server runs what the shared document says."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any

from ...config import Settings
from ...errors import BadRequest, GatewayError
from ...supervisor.runs import RunRequest
from ..rest.base import GatewayHandler, guarded
from ..rest.waking import awake
from .ask import is_prompt
from .live import LiveNotebook

# Requests that follow one another as fast as this are one action of a person: Run All, or a held key.
_TOGETHER_SECONDS = 0.3

BODY: dict[str, Any] = {
    "type": "object",
    "required": ["cell_id", "document_id"],
    "properties": {
        "cell_id": {"type": "string", "minLength": 1, "maxLength": 64},
        "document_id": {"type": "string", "pattern": "^json:notebook:"},
        "request_id": {"type": "string", "minLength": 1, "maxLength": 64},
    },
}


@dataclass
class Action:
    """Cells that a person ran with one command. After one that failed the others are not run, as in any notebook."""

    last: float
    has_failed: bool = False


@dataclass
class RunQueue:
    """The cells of one notebook that wait to run, in the order in which they were asked for."""

    live: LiveNotebook
    settings: Settings
    asked: set[str] = field(default_factory=set[str])
    _cells: list[tuple[str, str, Action]] = field(default_factory=list[tuple[str, str, Action]])
    _action: Action | None = None
    _task: asyncio.Task[None] | None = None

    def add(self, cell_id: str, request_id: str | None) -> None:
        """A request that comes again under its id runs once."""
        if request_id is not None and request_id in self.asked:
            return
        run = request_id or f"lab-{secrets.token_hex(8)}"
        self.asked.add(run)
        now = asyncio.get_running_loop().time()
        if self._action is None or now - self._action.last > _TOGETHER_SECONDS:
            self._action = Action(now)
        self._action.last = now
        if self._action.has_failed:
            return
        self._cells.append((cell_id, run, self._action))
        self.live.shared.set_state(cell_id, "running")
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._cells:
            cell_id, run, action = self._cells.pop(0)
            if not action.has_failed:
                try:
                    action.has_failed = not await run_cell(self.live, self.settings, cell_id, run)
                except (GatewayError, OSError) as error:
                    action.has_failed = True
                    self.live.shared.tell(cell_id, str(error))
            self.live.shared.set_state(cell_id, "idle")


async def run_cell(live: LiveNotebook, settings: Settings, cell_id: str, run: str) -> bool:
    """Whether it ended well. What stands in the cell is recorded first."""
    await live.flush()
    source = live.shared.source(cell_id)
    if source is None or not source.strip():
        return True
    live.shared.tell(cell_id, "")
    async with awake(settings, live.folder) as client:
        result = await client.run(RunRequest(run, cell_id, source, author="person"))
    await live.refresh()
    return result.exit == "ok"


class Execute(GatewayHandler):
    """Answers as soon as the cell waits its turn: what becomes of it is in the document, whoever is there to see it."""

    auth_resource = "kernels"

    @guarded
    async def post(self, kernel_id: str) -> None:
        body = self.body()
        live = await self.settings["cell_gateway_notebooks"].get(body["document_id"])
        if not live.shared.is_code(body["cell_id"]):
            raise BadRequest("There is no such code cell in this notebook.")
        source = live.shared.source(body["cell_id"]) or ""
        if is_prompt(source):
            self.settings["cell_gateway_asking"].ask(live, body["cell_id"])
        else:
            queues: dict[str, RunQueue] = self.settings.setdefault("cell_gateway_queues", {})
            queue = queues.get(body["document_id"])
            if queue is None or queue.live is not live:
                queue = queues[body["document_id"]] = RunQueue(live, self.gateway_settings)
            queue.add(body["cell_id"], body.get("request_id"))
        self.send({})
