"""A front end that dies in the middle of a turn, and the next one, over a real supervisor and kernel."""

from __future__ import annotations

import asyncio

import pytest

from kernel_gateway.scripted_model import text, tool_use
from kernel_gateway.supervisor.client import connect
from kernel_gateway.supervisor.runs import Output
from tests.conftest import LiveSession

from .conftest import Heard, Stage, staged

SLOW = """\
import pathlib, time
for i in range(2000):
    print(i)
print("waiting", flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.01)
print("went on")"""


class Watching(Heard):
    """Knows when a cell says that it waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = asyncio.Event()

    def outputs(self, outputs: list[Output]) -> None:
        if any("waiting" in o.get("text", "") for o in outputs):
            self.waiting.set()


async def _die_while_the_cell_runs(session: LiveSession, stage: Stage) -> None:
    heard = Watching()
    stage.heard = heard
    async with connect(session.folder, start=False) as first:
        stage.client = first
        asking = asyncio.create_task(stage.ask("count"))
        await heard.waiting.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_a_cell_that_outlived_its_front_end_is_awaited_with_all_its_output(session: LiveSession) -> None:
    calls = [tool_use("c1", "python", code=SLOW), tool_use("c2", "python", code="print('next', i)")]
    async with staged(session.client, [calls, [text("done")]]) as stage:
        await _die_while_the_cell_runs(session, stage)
        (session.folder.workspace / "go").touch()
        stage.client = session.client
        result = await stage.turn().resume()
        assert result is not None and result.text == "done"
        first, second = stage.script.requests[1]["messages"][-1]["content"]
        told = first["content"][0]["text"]
        assert told.startswith("0\n1\n2\n") and "1999\nwaiting\nwent on" in told
        assert "next 1999" in str(second)
        assert len([r for r in stage.records("start") if r["run"] == "t1:c1"]) == 1


async def test_a_new_prompt_stops_what_still_runs(session: LiveSession) -> None:
    async with staged(session.client, [[tool_use("c1", "python", code=SLOW)], [text("yes")]]) as stage:
        await _die_while_the_cell_runs(session, stage)
        stage.client = session.client
        assert (await stage.ask("something else")).text == "yes"
        assert [r["exit"] for r in stage.records("end") if r["run"] == "t1:c1"] == ["interrupted"]


async def test_an_interrupt_stops_the_running_cell_and_variables_live(session: LiveSession) -> None:
    calls = [tool_use("c1", "python", code="kept = 5\n" + SLOW)]
    turns = [calls, [tool_use("c2", "python", code="print('kept', kept)")], [text("there")]]
    async with staged(session.client, turns) as stage:
        heard = Watching()
        stage.heard = heard
        turn = stage.turn()
        asking = asyncio.create_task(turn.ask("count"))
        await heard.waiting.wait()
        await turn.interrupt()
        assert (await asking).stop_reason == "interrupted"
        await stage.ask("still there?")
        assert "kept 5" in str(stage.script.requests[2]["messages"][-1])
