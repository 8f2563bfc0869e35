"""A cell that begins with ``%%ask`` is a prompt: it becomes a markdown cell, and the model's words and cells come below."""

from __future__ import annotations

import asyncio
import secrets

from ...agent.listener import Silent
from ...errors import GatewayError
from ...session.editing import editor_of, record_edits
from ...supervisor.runs import RunResult
from ..turns import Turns
from .live import LiveNotebook

MAGIC = "%%ask"


def is_prompt(source: str) -> bool:
    return source.lstrip().partition("\n")[0].split(maxsplit=1)[:1] == [MAGIC]


def prompt_of(source: str) -> str:
    """What follows the magic, on its line and below."""
    return source.lstrip().removeprefix(MAGIC).strip()


class Words(Silent):
    """The model's words, shown in an open notebook as they come, whoever asked."""

    def __init__(self, live: LiveNotebook) -> None:
        self._live, self._text = live, ""

    def text(self, delta: str) -> None:
        self._text += delta
        self._live.say(self._text)

    def retract(self, reason: str) -> None:
        self._text = ""
        self._live.say("")

    def tool_start(self, tool: str, cell: str, source: str) -> None:
        self._text = ""

    def tool_end(self, result: RunResult) -> None:
        self._text = ""


class Asking:
    """One per server. A prompt goes on when the browser has gone."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, live: LiveNotebook, cell_id: str) -> None:
        task = asyncio.create_task(self._ask(live, cell_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, live: LiveNotebook, cell_id: str) -> None:
        prompt = prompt_of(live.shared.source(cell_id) or "")
        if not prompt:
            live.shared.tell(cell_id, f"Write your question behind or below {MAGIC}.")
            return
        live.shared.tell(cell_id, "")
        live.shared.set_state(cell_id, "running")
        message = f"ask-{secrets.token_hex(8)}"
        recorded = asyncio.create_task(self._remove_when_recorded(live, cell_id, message))
        try:
            await self._turns.run(live.folder, prompt, Silent(), message=message)
            await live.refresh()
            await recorded
        except (GatewayError, OSError) as error:
            await self._tell(live, cell_id, message, str(error))
        finally:
            recorded.cancel()
            live.shared.set_state(cell_id, "idle")

    async def _tell(self, live: LiveNotebook, cell_id: str, message: str, text: str) -> None:
        """Below what was asked: in the cell while nothing of it is recorded, else in the notebook."""
        await live.refresh()
        if live.shared.source(cell_id) is None or message in live.messages:
            await live.notice(text)
        else:
            live.shared.tell(cell_id, text)

    async def _remove_when_recorded(self, live: LiveNotebook, cell_id: str, message: str) -> None:
        """The prompt is a markdown cell then; until that is sure, what the person wrote stays."""
        if await live.until(lambda: message in live.messages):
            await live.flush()
            await record_edits(live.folder, [{"op": "delete", "cell": cell_id}], editor_of(live.folder))
            live.shared.remove(cell_id)
            await live.refresh()
