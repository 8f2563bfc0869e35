from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from kernel_gateway.agent.listener import Silent
from kernel_gateway.config import load_settings
from kernel_gateway.errors import MessageKnown, SessionBusy
from kernel_gateway.journal import Record, read
from kernel_gateway.scripted_model import Hold, Scripted, ScriptedModel, text, tool_use
from kernel_gateway.server.context import Context
from kernel_gateway.server.turns import Turns
from kernel_gateway.session.folder import SessionFolder
from kernel_gateway.session.lock import turn_lock
from kernel_gateway.supervisor.runs import Output
from tests.conftest import LiveSession


class Heard(Silent):
    def __init__(self) -> None:
        self.words, self.cells, self.printed = "", list[str](), ""

    def text(self, delta: str) -> None:
        self.words += delta

    def tool_start(self, tool: str, cell: str, source: str) -> None:
        self.cells.append(source)

    def outputs(self, outputs: list[Output]) -> None:
        self.printed += "".join(str(o.get("text", "")) for o in outputs)


@pytest_asyncio.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel([]) as model:
        yield model


@pytest.fixture
def turns(session: LiveSession, model: ScriptedModel) -> Turns:
    return Context(load_settings(), {"ANTHROPIC_API_KEY": "of-the-test"}, model.base_url).turns


def prompts(folder: SessionFolder) -> list[Record]:
    return [r for r in read(folder.journal).records if r["kind"] == "prompt"]


async def test_who_comes_later_hears_what_was_said_so_far(
    turns: Turns, session: LiveSession, model: ScriptedModel
) -> None:
    hold = Hold(before=6)
    model.continue_with([Scripted([text("one two three four five six")], hold=hold)])
    first, second = Heard(), Heard()
    running = turns.begin(session.folder, ("Count", (), None), first)
    await hold.reached.wait()
    with turns.listen(session.folder, second) as heard:
        assert heard is running
        hold.release()
        result = await running.result()
    assert (first.words, second.words, result.text) == (result.text,) * 3
    assert turns.running(session.folder) is None


async def test_a_caller_that_leaves_ends_no_turn_and_stop_does(
    turns: Turns, session: LiveSession, model: ScriptedModel
) -> None:
    started = "import time\nprint('began', flush=True)\ntime.sleep(600)"
    model.continue_with([[tool_use("toolu_1", "python", code=started)]])
    heard, began = Heard(), asyncio.Event()
    heard.outputs = lambda outputs: began.set()
    caller = asyncio.create_task(turns.run(session.folder, "Wait", heard))
    await began.wait()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    running = turns.running(session.folder)
    assert running is not None
    with pytest.raises(SessionBusy):
        turns.begin(session.folder, ("More", (), None), Silent())
    assert await turns.stop(session.folder)
    assert (await running.result()).stop_reason == "interrupted"
    assert not await turns.stop(session.folder)


async def test_a_message_is_asked_once(turns: Turns, session: LiveSession, model: ScriptedModel) -> None:
    model.continue_with([[text("yes")]] * 2)
    await turns.run(session.folder, "Here?", Silent(), message="m-1")
    with pytest.raises(MessageKnown):
        await turns.run(session.folder, "Here?", Silent(), message="m-1")
    await turns.run(session.folder, "Here?", Silent(), message="m-2")
    assert [r["message"] for r in prompts(session.folder)] == ["m-1", "m-2"]


async def test_a_turn_of_another_process_is_not_disturbed(
    turns: Turns, session: LiveSession, model: ScriptedModel
) -> None:
    with turn_lock(session.folder), pytest.raises(SessionBusy):
        await turns.run(session.folder, "Here?", Silent())
    assert prompts(session.folder) == []


async def test_a_turn_that_broke_off_is_finished_first(
    turns: Turns, session: LiveSession, model: ScriptedModel
) -> None:
    await session.client.record("turn", turn="t1", state="started")
    await session.client.record("prompt", cell="t1-prompt", turn="t1", text="First", attachments=[])
    model.continue_with([[text("for the first")], [text("for the second")]])
    result = await turns.run(session.folder, "Second", Silent())
    ended: list[Any] = [r["turn"] for r in read(session.folder.journal).records if r.get("state") == "ended"]
    assert (result.text, ended) == ("for the second", ["t1", "t2"])
