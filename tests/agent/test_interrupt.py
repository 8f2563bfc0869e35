"""Interrupts and kills: nothing runs twice, nothing half runs, and the history stays one that the API takes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kernel_gateway.agent.conversation import pending_turn
from kernel_gateway.agent.turn import TurnResult, take_turn
from kernel_gateway.errors import BadRequest
from kernel_gateway.journal import read
from kernel_gateway.scripted_model import Hold, Scripted, text, thinking, tool_use

from .conftest import SYSTEM, Stage, staged
from .standin import FOREVER, InProcessSession


async def _interrupted_at(stage: Stage, reached: asyncio.Event) -> TurnResult:
    turn = stage.turn()
    asking = asyncio.create_task(turn.ask("go"))
    await reached.wait()
    await turn.interrupt()
    return await asking


async def test_an_interrupt_while_words_stream_keeps_the_words(client: InProcessSession) -> None:
    hold = Hold(before=6)
    async with staged(
        client, [Scripted([text("A rather long sentence that is " * 5)], hold=hold), [text("yes")]]
    ) as stage:
        result = await _interrupted_at(stage, stage.heard.spoken)
        assert result.stop_reason == "interrupted"
        await stage.ask("and now?")
        said = stage.script.requests[1]["messages"][1]["content"][0]["text"]
        assert said.startswith("A rather long") and len(said) < 100


async def test_an_interrupt_inside_a_call_drops_it_and_keeps_the_thinking_with_words(client: InProcessSession) -> None:
    reply = [thinking("hm"), text("I count."), tool_use("c1", "python", code="print('never')" * 9)]
    hold = Hold(before=12)
    async with staged(client, [Scripted(reply, hold=hold), [text("yes")]]) as stage:
        await _interrupted_at(stage, stage.heard.spoken)
        await stage.ask("and now?")
        assert [b["type"] for b in stage.script.requests[1]["messages"][1]["content"]] == ["thinking", "text"]
        assert client.executed == []


async def test_an_interrupt_after_a_whole_call_answers_it_first(client: InProcessSession) -> None:
    reply = [tool_use("c1", "python", code="1"), text("and then " * 20)]
    hold = Hold(before=8)
    async with staged(client, [Scripted(reply, hold=hold), [text("yes")]]) as stage:
        await _interrupted_at(stage, stage.heard.spoken)
        await stage.ask("and now?")
        answer = stage.script.requests[1]["messages"][2]["content"]
        assert [b["type"] for b in answer] == ["tool_result", "text"]
        assert answer[0]["is_error"] is True and "interrupted" in str(answer[0]["content"])
        assert client.executed == []


async def test_an_interrupt_before_anything_came_leaves_no_empty_message(client: InProcessSession) -> None:
    hold = Hold(before=0)
    async with staged(client, [Scripted([text("x")], hold=hold), [text("yes")]]) as stage:
        await _interrupted_at(stage, hold.reached)
        await stage.ask("and now?")
        assert [m["role"] for m in stage.script.requests[1]["messages"]] == ["user"]


async def test_an_interrupt_while_a_cell_runs_stops_it_and_the_calls_after_it(client: InProcessSession) -> None:
    calls = [tool_use("c1", "python", code=FOREVER), tool_use("c2", "python", code="print(2)")]
    async with staged(client, [calls, [text("yes")]]) as stage:
        result = await _interrupted_at(stage, client.began)
        assert (result.stop_reason, client.executed) == ("interrupted", ["t1:c1"])
        await stage.ask("and now?")
        first, second, prompt = stage.script.requests[1]["messages"][2]["content"]
        assert (first["tool_use_id"], second["tool_use_id"], prompt["text"]) == ("c1", "c2", "and now?")


async def test_an_interrupt_before_the_turn_begins_counts(client: InProcessSession) -> None:
    async with staged(client, []) as stage:
        turn = stage.turn()
        await turn.interrupt()
        assert (await turn.ask("go")).stop_reason == "interrupted"
        assert stage.script.requests == []


async def _killed_at(stage: Stage, reached: asyncio.Event) -> None:
    """What a kill -9 leaves: the task is gone, nothing more is recorded."""
    asking = asyncio.create_task(stage.turn().ask("go"))
    await reached.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_killed_stream_is_asked_for_again(client: InProcessSession) -> None:
    hold = Hold(before=4)
    async with staged(client, [Scripted([text("half of it " * 9)], hold=hold), [text("whole")]]) as stage:
        await _killed_at(stage, hold.reached)
        pending = pending_turn(read(client.folder.journal).records)
        assert pending is not None and pending.prompt == "go"
        result = await stage.turn().resume()
        assert result is not None and (result.turn, result.text) == ("t1", "whole")
        assert stage.script.requests[0]["messages"] == stage.script.requests[1]["messages"]


async def test_a_run_that_went_on_without_its_front_end_is_awaited_and_not_repeated(client: InProcessSession) -> None:
    calls = [tool_use("c0", "python", code="print('zero')"), tool_use("c1", "python", code=FOREVER)]
    async with staged(client, [[text("words"), *calls], [text("end")]]) as stage:
        await _killed_at(stage, client.began)
        # The supervisor goes on: here its end is recorded by hand.
        client.journal.append(
            "output", run="t1:c1", outputs=[{"output_type": "stream", "name": "stdout", "text": "late\n"}]
        )
        client.journal.append("end", run="t1:c1", exit="ok", execution_count=2, duration=1.0)
        result = await stage.turn().resume()
        assert result is not None and result.text == "end"
        assert client.executed == ["t1:c0", "t1:c1"]
        zero, late = stage.script.requests[1]["messages"][2]["content"]
        assert "zero" in str(zero) and "late" in str(late)
        assert len(stage.records("words")) == 2


async def test_a_turn_killed_before_its_message_was_recorded_is_taken_from_its_prompt(tmp_path: Path) -> None:
    client = InProcessSession(tmp_path / "amber-wren")
    client.journal.append("turn", turn="t1", state="started")
    client.journal.append("prompt", turn="t1", cell="t1-prompt", text="hello", attachments=[])
    async with staged(client, [[text("hi")]]) as stage:
        result = await stage.turn().resume()
        assert result is not None and result.text == "hi"
        assert stage.script.requests[0]["messages"][0]["content"][0]["text"] == "hello"
    await client.close()


async def test_nothing_to_resume_is_said(client: InProcessSession) -> None:
    async with staged(client, [[text("ok")]]) as stage:
        assert await stage.turn().resume() is None
        with pytest.raises(BadRequest):
            await take_turn(client, stage.model, None, [], stage.heard, system=SYSTEM)


async def test_a_new_prompt_after_a_kill_tells_the_result_of_what_ran(client: InProcessSession) -> None:
    async with staged(client, [[tool_use("c1", "python", code=FOREVER)], [text("ok")]]) as stage:
        await _killed_at(stage, client.began)
        client.journal.append("end", run="t1:c1", exit="ok", execution_count=1, duration=1.0)
        await stage.ask("something else")
        result, prompt = stage.script.requests[1]["messages"][2]["content"]
        assert "is_error" not in result and prompt["text"] == "something else"
