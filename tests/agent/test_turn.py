"""The loop over a scripted model and an in-process session: what is run, recorded and sent, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from kernel_gateway.agent.conversation import Attachment
from kernel_gateway.agent.pricing import Budget, Price
from kernel_gateway.errors import BadRequest, SessionBusy
from kernel_gateway.scripted_model import Scripted, text, thinking, tool_use
from kernel_gateway.session.lock import turn_lock

from .conftest import staged
from .standin import InProcessSession


async def test_words_stream_to_the_listener(client: InProcessSession) -> None:
    async with staged(client, [[text("Hello, this is a long enough reply to come in pieces.")]]) as stage:
        result = await stage.ask("hi")
        assert stage.heard.words == result.text == "Hello, this is a long enough reply to come in pieces."
        assert len(stage.heard.of("text")) > 1


async def test_a_tool_call_runs_and_its_output_goes_back(client: InProcessSession) -> None:
    async with staged(client, [[tool_use("c1", "python", code="print(6 * 7)")], [text("42")]]) as stage:
        result = await stage.ask("compute")
        sent = stage.script.requests[1]["messages"][-1]["content"][0]
        assert (sent["type"], sent["tool_use_id"]) == ("tool_result", "c1")
        assert "42" in str(sent["content"])
        assert (result.stop_reason, result.calls) == ("end_turn", 2)


async def test_calls_of_one_reply_run_one_after_another_in_block_order(client: InProcessSession) -> None:
    calls = [tool_use(f"c{i}", "python", code=f"print({i})") for i in range(4)]
    async with staged(client, [calls, [text("done")]]) as stage:
        await stage.ask("count")
        assert client.executed == ["t1:c0", "t1:c1", "t1:c2", "t1:c3"]


async def test_a_failing_call_does_not_keep_the_next_from_running(client: InProcessSession) -> None:
    calls = [tool_use("bad", "python", code="1 / 0"), tool_use("good", "python", code="print('on')")]
    async with staged(client, [calls, [text("done")]]) as stage:
        await stage.ask("go")
        bad, good = stage.script.requests[1]["messages"][-1]["content"]
        assert bad["is_error"] is True and "on" in str(good["content"])


async def test_an_unknown_tool_and_a_bad_input_are_answered_and_nothing_runs(client: InProcessSession) -> None:
    calls = [tool_use("a", "telepathy", to="you"), tool_use("b", "python", wrong="x")]
    async with staged(client, [calls, [text("sorry")]]) as stage:
        await stage.ask("go")
        assert [b["is_error"] for b in stage.script.requests[1]["messages"][-1]["content"]] == [True, True]
        assert client.executed == []


async def test_words_and_cells_are_recorded_in_block_order(client: InProcessSession) -> None:
    reply = [text("first"), tool_use("c1", "python", code="1"), text("then"), tool_use("c2", "python", code="2")]
    async with staged(client, [reply, [text("end")]]) as stage:
        await stage.ask("go")
        kinds = ("words", "start")
        found = [r for k in kinds for r in stage.records(k)]
        ordered = sorted(found, key=lambda r: r["seq"])
        assert [r.get("text") or r["source"] for r in ordered] == ["first", "1", "then", "2", "end"]


async def test_the_reply_is_recorded_before_its_first_call_runs(client: InProcessSession) -> None:
    async with staged(client, [[tool_use("c1", "python", code="1")], [text("end")]]) as stage:
        await stage.ask("go")
        reply = next(r for r in stage.records("message") if r["role"] == "assistant")
        answers = [r for r in stage.records("message") if r["role"] == "user"][1]
        assert reply["seq"] < stage.records("start")[0]["seq"] < stage.records("end")[0]["seq"] < answers["seq"]


async def test_what_the_journal_holds_of_a_reply_is_what_came(client: InProcessSession) -> None:
    odd: dict[str, Any] = {"type": "hologram", "depth": {"zz": 1}, "future": None}
    reply = [thinking("hm"), text("words"), odd]
    async with staged(client, [Scripted(reply, usage={"input_tokens": 7, "output_tokens": 9})]) as stage:
        await stage.ask("go")
        message = stage.records("message")[1]
        assert message["content"] == reply
        assert message["usage"]["output_tokens"] == 9
        assert message["request_id"] == "req_scripted"


async def test_the_request_is_recorded_once_a_turn_without_messages_and_key(client: InProcessSession) -> None:
    async with staged(client, [[tool_use("c1", "python", code="1")], [text("end")], [text("again")]]) as stage:
        await stage.ask("one")
        await stage.ask("two")
        requests = stage.records("request")
        assert [r["turn"] for r in requests] == ["t1", "t2"]
        assert set(requests[0]["body"]) == {"model", "max_tokens", "system", "tools"}


async def test_a_second_prompt_goes_on_with_the_same_conversation(client: InProcessSession) -> None:
    async with staged(client, [[text("one")], [text("two")]]) as stage:
        await stage.ask("first")
        await stage.ask("second")
        said = [m["content"][0]["text"] for m in stage.script.requests[1]["messages"]]
        assert said == ["first", "one", "second"]


@pytest.mark.parametrize(
    "reason", ["end_turn", "stop_sequence", "refusal", "model_context_window_exceeded", "something_new"]
)
async def test_calls_run_after_tool_use_alone(client: InProcessSession, reason: str) -> None:
    reply = Scripted([text("I will"), tool_use("c1", "python", code="print(1)")], stop_reason=reason)
    async with staged(client, [reply, [text("next")]]) as stage:
        result = await stage.ask("go")
        assert (result.stop_reason, client.executed) == (reason, [])
        await stage.ask("and now?")
        assert client.executed == []


async def test_a_paused_turn_is_sent_back_as_it_is(client: InProcessSession) -> None:
    paused = Scripted([text("searching")], stop_reason="pause_turn")
    async with staged(client, [paused, [text("found")]]) as stage:
        result = await stage.ask("go")
        assert stage.script.requests[1]["messages"][-1]["role"] == "assistant"
        assert result.text == "found"
        assert [r["text"] for r in stage.records("words")] == ["searching", "found"]


async def test_a_call_cut_by_the_token_limit_never_runs_and_is_asked_for_with_more_room(
    client: InProcessSession,
) -> None:
    cut = Scripted([tool_use("c1", "python", code="print('half')" * 20)], stop_reason="max_tokens", half=True)
    async with staged(client, [cut, [tool_use("c1", "python", code="print('whole')")], [text("end")]]) as stage:
        await stage.ask("go")
        limits = [r["max_tokens"] for r in stage.script.requests]
        assert limits[1] == 2 * limits[0] and limits[2] == limits[0]
        assert client.executed == ["t1:c1"]


async def test_a_call_cut_twice_ends_the_turn_and_the_next_prompt_works(client: InProcessSession) -> None:
    cut = Scripted([text("I write"), tool_use("c1", "python", code="x" * 99)], stop_reason="max_tokens", half=True)
    async with staged(client, [cut, cut, [text("next")]]) as stage:
        result = await stage.ask("go")
        assert (result.stop_reason, client.executed) == ("max_tokens", [])
        assert (await stage.ask("shorter")).text == "next"


async def test_a_refused_turn_leaves_the_conversation_and_is_told(client: InProcessSession) -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "Not this.", "recommended_model": "other"}
    refusal = Scripted([], stop_reason="refusal", stop_details=details)
    async with staged(client, [[text("fine")], refusal, [text("ok")]]) as stage:
        await stage.ask("harmless")
        await stage.ask("forbidden")
        await stage.ask("harmless again")
        assert "forbidden" not in str(stage.script.requests[2]["messages"])
        assert any("Not this." in n and "other" in n for n in stage.heard.of("notice"))


async def test_repeated_call_ids_of_a_local_server_are_made_unique(client: InProcessSession) -> None:
    reply = [tool_use("call_0", "python", code="print('a')")]
    async with staged(client, [reply, reply, [text("end")]]) as stage:
        await stage.ask("go")
        assert client.executed == ["t1:call_0", "t1:call_0_2"]


async def test_model_calls_are_limited(client: InProcessSession) -> None:
    turns = [[tool_use(f"c{i}", "python", code="1")] for i in range(5)]
    async with staged(client, turns) as stage:
        stage.budget = Budget(max_turns=2)
        result = await stage.ask("go")
        assert (result.stop_reason, len(stage.script.requests)) == ("budget", 2)


async def test_the_cost_is_limited_and_recorded(client: InProcessSession) -> None:
    usage = {"input_tokens": 1_000_000, "output_tokens": 0}
    turns = [Scripted([tool_use(f"c{i}", "python", code="1")], usage=usage) for i in range(5)]
    async with staged(client, turns) as stage:
        stage.model.price = Price(1.0, 5.0, 0.1, 1.25, 2.0)
        stage.budget = Budget(max_cost=2.0)
        result = await stage.ask("go")
        assert (result.stop_reason, result.cost) == ("budget", 2.0)
        assert stage.records("turn")[-1]["cost"] == 2.0


async def test_a_cost_limit_without_a_price_is_refused_with_the_way_to_set_one(client: InProcessSession) -> None:
    async with staged(client, []) as stage:
        stage.budget = Budget(max_cost=1.0)
        with pytest.raises(BadRequest, match=r"prices"):
            await stage.ask("go")


async def test_one_turn_at_a_time(client: InProcessSession) -> None:
    async with staged(client, [[text("x")]]) as stage:
        with turn_lock(client.folder), pytest.raises(SessionBusy, match="process"):
            await stage.ask("go")
        assert (await stage.ask("go")).text == "x"


async def test_new_files_are_recorded_and_told(client: InProcessSession) -> None:
    path = client.folder.workspace / "made.txt"
    code = f"import pathlib; pathlib.Path({str(path)!r}).write_text('abc')"
    async with staged(client, [[tool_use("c1", "python", code=code)], [text("end")]]) as stage:
        result = await stage.ask("go")
        assert [f["path"] for f in result.changed] == ["made.txt"]
        assert stage.records("files")[0]["files"][0]["bytes"] == 3
        assert "made.txt" in str(stage.script.requests[1]["messages"][-1])


async def test_presented_files_become_words_and_a_missing_one_is_an_error(client: InProcessSession) -> None:
    (client.folder.workspace / "chart.png").write_bytes(b"png")
    calls = [tool_use("p1", "present_files", paths=["chart.png"]), tool_use("p2", "present_files", paths=["gone.txt"])]
    async with staged(client, [calls, [text("end")]]) as stage:
        result = await stage.ask("go")
        assert [f["path"] for f in result.presented] == ["chart.png"]
        assert [r["tool"] for r in stage.records("words") if r.get("tool")] == ["present_files"]
        assert stage.script.requests[1]["messages"][-1]["content"][1]["is_error"] is True


async def test_a_prompt_names_its_files(client: InProcessSession) -> None:
    async with staged(client, [[text("ok")]]) as stage:
        given = [Attachment("data.csv", "data.csv", "0" * 64, 12, "text/csv")]
        await stage.turn().ask("look", given)
        assert "data.csv (12 bytes, text/csv)" in stage.script.requests[0]["messages"][0]["content"][0]["text"]
        assert stage.records("prompt")[0]["attachments"][0]["path"] == "data.csv"
