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

# A request that comes this soon after the last one was answered belongs to the same action of a person: Run All, or a held key. A
# browser sends six at a time, and the next when one of them is answered.
_TOGETHER_SECONDS = 0.2
# What a person wrote comes by another connection than the request to run it, which may overtake it.
_OVERTAKEN_SECONDS, _MISSING_SECONDS = 0.05, 5.0

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

    def add(self, cell_id: str, request_id: str | None, arrived: float) -> None:
        """A request that comes again under its id runs once. ``arrived``: by the event loop's clock."""
        if request_id in self.asked:
            return
        if request_id is not None:
            self.asked.add(request_id)
        run = request_id or f"lab-{secrets.token_hex(8)}"
        if self._action is None or arrived - self._action.last > _TOGETHER_SECONDS:
            self._action = Action(arrived)
        self._action.last = asyncio.get_running_loop().time()
        if self._action.has_failed:
            return
        self._cells.append((cell_id, run, self._action))
        self.live.shared.set_state(cell_id, "running")
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._cells:
            cell_id, run, action = self._cells.pop(0)
            try:
                if not action.has_failed:
                    action.has_failed = not await run_cell(self.live, self.settings, cell_id, run)
            except (GatewayError, OSError) as error:
                action.has_failed = True
                self.live.shared.tell(cell_id, str(error))
            finally:
                if all(waiting != cell_id for waiting, *_ in self._cells):
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


async def _has_come(live: LiveNotebook, cell_id: str) -> bool:
    deadline = asyncio.get_running_loop().time() + _MISSING_SECONDS
    while not live.shared.is_code(cell_id):
        if live.is_closed or asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_OVERTAKEN_SECONDS)
    return True


class Execute(GatewayHandler):
    """Answers as soon as the cell waits its turn: what becomes of it is in the document, whoever is there to see it."""

    auth_resource = "kernels"

    @guarded
    async def post(self, kernel_id: str) -> None:
        body, arrived = self.body(), asyncio.get_running_loop().time()
        live = await self.settings["cell_gateway_notebooks"].get(body["document_id"])
        await asyncio.sleep(_OVERTAKEN_SECONDS)
        # Whoever came first is queued first.
        async with live.arriving:
            if not await _has_come(live, body["cell_id"]):
                raise BadRequest("There is no such code cell in this notebook.")
            self._run(live, body, arrived)
        self.send({})

    def _run(self, live: LiveNotebook, body: dict[str, Any], arrived: float) -> None:
        source = live.shared.source(body["cell_id"]) or ""
        if is_prompt(source):
            self.settings["cell_gateway_asking"].ask(live, body["cell_id"])
        else:
            self._queue(body["document_id"], live).add(body["cell_id"], body.get("request_id"), arrived)

    def _queue(self, document_id: str, live: LiveNotebook) -> RunQueue:
        queues: dict[str, RunQueue] = self.settings.setdefault("cell_gateway_queues", {})
        for name in [name for name, queue in queues.items() if queue.live.is_closed]:
            del queues[name]
        queue = queues.get(document_id)
        if queue is None or queue.live is not live:
            queue = queues[document_id] = RunQueue(live, self.gateway_settings)
        return queue
