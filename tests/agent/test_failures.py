"""What the service does wrong: each fault becomes a sentence with a next step, and the turn can go on."""

from __future__ import annotations

import pytest

from kernel_gateway.agent.conversation import pending_turn
from kernel_gateway.agent.failures import ModelFailure
from kernel_gateway.agent.model import Model
from kernel_gateway.agent.turn import Turn
from kernel_gateway.demo.run import loopback_client
from kernel_gateway.journal import read
from kernel_gateway.scripted_model import Fault, FaultKind, Hold, Refusal, Scripted, text, tool_use

from .conftest import SYSTEM, Heard, staged
from .standin import InProcessSession

FAULTS: list[FaultKind] = ["cut", "error_event", "bad_json", "bad_input", "early_end"]
CALL = tool_use("c1", "python", code="print('a longer piece of code')")


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_reply_that_breaks_off_is_thrown_away_and_asked_for_again(
    client: InProcessSession, kind: FaultKind
) -> None:
    broken = Scripted([CALL], fault=Fault(kind, before=3))
    async with staged(client, [broken, [CALL], [text("end")]]) as stage:
        result = await stage.ask("go")
        assert (result.text, client.executed) == ("end", ["t1:c1"])
        assert len(stage.heard.of("retract")) == 1
        assert len([r for r in stage.records("message") if r["role"] == "assistant"]) == 2


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_reply_that_breaks_off_three_times_leaves_a_turn_to_resume(
    client: InProcessSession, kind: FaultKind
) -> None:
    broken = Scripted([CALL], fault=Fault(kind, before=3))
    async with staged(client, [[CALL], *[broken] * 3, [text("end")]]) as stage:
        with pytest.raises(ModelFailure) as failure:
            await stage.ask("go")
        assert "can be resumed" in failure.value.next_step
        assert pending_turn(read(client.folder.journal).records) is not None
        result = await stage.turn().resume()
        assert result is not None and result.text == "end"
        assert client.executed == ["t1:c1"]


async def test_an_overload_before_the_stream_is_retried_by_the_sdk(client: InProcessSession) -> None:
    busy = Refusal(529, "overloaded_error", headers={"retry-after-ms": "1"})
    async with staged(client, [busy, busy, [text("ok")]]) as stage:
        assert (await stage.ask("go")).text == "ok"
        assert len(stage.script.requests) == 3


async def test_a_lasting_overload_says_so(client: InProcessSession) -> None:
    busy = Refusal(529, "overloaded_error", headers={"retry-after-ms": "1"})
    async with staged(client, [busy] * 3) as stage:
        with pytest.raises(ModelFailure, match="overloaded"):
            await stage.ask("go")


@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [
        (400, "invalid_request_error", "report it"),
        (401, "authentication_error", "ANTHROPIC_API_KEY"),
        (403, "permission_error", "--model"),
        (404, "not_found_error", "--model"),
        (413, "request_too_large", "new session"),
    ],
)
async def test_a_refused_request_has_a_next_step(client: InProcessSession, status: int, kind: str, hint: str) -> None:
    async with staged(client, [Refusal(status, kind, "because")]) as stage:
        with pytest.raises(ModelFailure, match="because") as failure:
            await stage.ask("go")
        assert hint in failure.value.next_step
        assert len(stage.script.requests) == 1


async def test_an_error_after_the_200_that_is_the_requests_fault_is_not_retried(client: InProcessSession) -> None:
    broken = Scripted([text("x")], fault=Fault("error_event", before=2, error_type="invalid_request_error"))
    async with staged(client, [broken]) as stage:
        with pytest.raises(ModelFailure):
            await stage.ask("go")
        assert len(stage.script.requests) == 1


async def test_a_service_that_is_not_there_is_named(client: InProcessSession) -> None:
    async with loopback_client("http://127.0.0.1:9") as sdk:
        turn = Turn(client, Model("scripted", sdk.with_options(max_retries=0)), Heard(), system=SYSTEM)
        with pytest.raises(ModelFailure, match=r"127\.0\.0\.1") as failure:
            await turn.ask("go")
        assert "ANTHROPIC_BASE_URL" in failure.value.next_step


async def test_a_service_that_does_not_answer_in_time_is_told(client: InProcessSession) -> None:
    async with staged(client, [Scripted([text("never")], hold=Hold(before=0))] * 3) as stage:
        stage.model.client = stage.model.client.with_options(timeout=0.2, max_retries=0)
        stage.model.backoff = ()
        with pytest.raises(ModelFailure, match=r"silent|in time"):
            await stage.ask("go")


async def test_usage_of_thrown_away_replies_is_paid_for(client: InProcessSession) -> None:
    usage = {"input_tokens": 100, "output_tokens": 10}
    broken = Scripted([text("x" * 100)], usage=usage, fault=Fault("cut", before=5))
    async with staged(client, [broken, Scripted([text("ok")], usage=usage)]) as stage:
        assert (await stage.ask("go")).usage.input == 200


async def test_a_new_prompt_closes_the_turn_that_failed(client: InProcessSession) -> None:
    async with staged(client, [Refusal(400, "invalid_request_error"), [text("ok")]]) as stage:
        with pytest.raises(ModelFailure):
            await stage.ask("first")
        assert (await stage.ask("second")).text == "ok"
        assert [r.get("stop_reason") for r in stage.records("turn")] == [None, "abandoned", None, "end_turn"]
        sent = stage.script.requests[1]["messages"]
        assert [b["text"] for b in sent[0]["content"]] == ["first", "second"]
