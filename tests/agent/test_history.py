"""The conversation rebuilt from the journal: repairs, and the check before each request."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel_gateway.agent.history import (
    LIVE_PICTURES,
    PICTURE_STEP,
    InvalidHistory,
    gone_pictures,
    history,
    live_pictures,
    not_run,
    salvage,
    validate_history,
)
from kernel_gateway.agent.pictures import image_block
from kernel_gateway.agent.reply import Block, Reply
from kernel_gateway.journal import Record, read
from kernel_gateway.scripted_model import Hold, Scripted, text, thinking, tool_use

from .conftest import staged
from .standin import InProcessSession

PNG = bytes.fromhex("89504e470d0a1a0a0000000d494844520000000100000001")


def user(*blocks: Block, turn: str = "t1", **fields: Any) -> Record:
    return {"kind": "message", "turn": turn, "role": "user", "content": list(blocks), **fields}


def assistant(*blocks: Block, turn: str = "t1", **fields: Any) -> Record:
    return {"kind": "message", "turn": turn, "role": "assistant", "content": list(blocks), **fields}


def result(call: str, *blocks: Block) -> Block:
    return {"type": "tool_result", "tool_use_id": call, "content": list(blocks) or [text("ok")]}


def call(name: str) -> Block:
    return tool_use(name, "python", code="1")


def test_a_prompt_after_tool_results_joins_them_behind() -> None:
    records = [user(text("a")), assistant(call("c1")), user(result("c1")), user(text("b"), turn="t2")]
    messages = history(records)
    assert [b["type"] for b in messages[2]["content"]] == ["tool_result", "text"]
    validate_history(messages)


def test_a_call_without_a_result_is_answered_as_interrupted() -> None:
    messages = history([user(text("a")), assistant(call("c1"), call("c2")), user(result("c2")), user(text("b"))])
    assert [b.get("tool_use_id") for b in messages[2]["content"]] == ["c1", "c2", None]
    assert messages[2]["content"][0]["is_error"] is True
    validate_history(messages)


def test_a_result_without_its_call_is_left_out() -> None:
    messages = history([user(text("a")), assistant(text("b")), user(result("c9"), text("c"))])
    assert [b["type"] for b in messages[2]["content"]] == ["text"]
    validate_history(messages)


def test_empty_and_blank_replies_vanish() -> None:
    messages = history([user(text("a")), assistant(), user(text("b")), assistant(text("  \n")), user(text("c"))])
    assert [(m["role"], len(m["content"])) for m in messages] == [("user", 3)]


def test_thinking_of_another_model_is_left_out() -> None:
    def request(model: str) -> Record:
        return {"kind": "request", "turn": "t1", "body": {"model": model}}

    records = [user(text("a")), request("one"), assistant(thinking("hm"), text("b")), user(text("c"), turn="t2")]
    assert [b["type"] for b in history(records, "one")[1]["content"]] == ["thinking", "text"]
    assert [b["type"] for b in history(records, "two")[1]["content"]] == ["text"]


def test_the_unfinished_is_dropped_and_words_and_signed_thinking_are_kept() -> None:
    reply = Reply(blocks=[thinking("hm"), text("one")], half={"type": "text", "text": "two \n"})
    assert [b["type"] for b in salvage(reply)] == ["thinking", "text", "text"]
    assert salvage(reply)[-1]["text"] == "two"
    half_call = Reply(blocks=[thinking("hm")], half={**call("c1"), "partial_json": '{"co'})
    assert salvage(half_call) == []


def _picture_records(count: int) -> list[Record]:
    records = [user(text("draw"))]
    for number in range(count):
        name = f"c{number}"
        records.append(assistant(call(name)))
        pictures = [{"label": f"cell {number}", "sha256": f"{number:064}"}]
        records.append(user(result(name, image_block("image/png", PNG)), pictures=pictures))
    return records


def test_old_pictures_leave_ten_at_a_time_and_say_where_they_are() -> None:
    messages = history(_picture_records(LIVE_PICTURES + 1))
    shown = [b for m in messages for b in m["content"] if b["type"] == "tool_result"]
    kinds = [b["content"][0]["type"] for b in shown]
    assert kinds == ["text"] * PICTURE_STEP + ["image"] * (LIVE_PICTURES + 1 - PICTURE_STEP)
    assert "picture of cell 3" in shown[3]["content"][0]["text"]
    validate_history(messages)


def test_between_two_steps_the_beginning_stays_the_same() -> None:
    before = history(_picture_records(LIVE_PICTURES + 1))
    after = history(_picture_records(LIVE_PICTURES + 5))
    assert after[: len(before)] == before


def test_pictures_that_left_are_no_longer_seen() -> None:
    assert len(live_pictures(_picture_records(LIVE_PICTURES))) == LIVE_PICTURES
    assert "cell 3" not in live_pictures(_picture_records(LIVE_PICTURES + 1)).values()


@given(st.lists(st.integers(0, 8 * 1024**2), max_size=60))
def test_what_stays_of_the_pictures_is_within_both_limits(sizes: list[int]) -> None:
    gone = gone_pictures(sizes)
    assert len(sizes) - gone <= LIVE_PICTURES and sum(sizes[gone:]) <= 20 * 1024**2
    assert gone % PICTURE_STEP == 0 or gone == len(sizes)


INVALID: dict[str, list[dict[str, Any]]] = {
    "empty": [],
    "assistant first": [{"role": "assistant", "content": [text("a")]}],
    "two of one role": [{"role": "user", "content": [text("a")]}, {"role": "user", "content": [text("b")]}],
    "empty message": [{"role": "user", "content": []}],
    "blank text": [{"role": "user", "content": [text(" \n")]}],
    "open call": [{"role": "user", "content": [text("a")]}, {"role": "assistant", "content": [call("c")]}],
    "unanswered call": [
        {"role": "user", "content": [text("a")]},
        {"role": "assistant", "content": [call("c")]},
        {"role": "user", "content": [text("b")]},
    ],
    "late result": [
        {"role": "user", "content": [text("a")]},
        {"role": "assistant", "content": [call("c")]},
        {"role": "user", "content": [text("b"), result("c")]},
    ],
    "stray result": [{"role": "user", "content": [result("c")]}],
    "two calls of one id": [
        {"role": "user", "content": [text("a")]},
        {"role": "assistant", "content": [call("c"), call("c")]},
        {"role": "user", "content": [result("c"), result("c")]},
    ],
    "half a block": [
        {"role": "user", "content": [text("a")]},
        {"role": "assistant", "content": [{**call("c"), "partial_json": "{"}]},
        {"role": "user", "content": [result("c")]},
    ],
    "thinking last": [
        {"role": "user", "content": [text("a")]},
        {"role": "assistant", "content": [thinking("hm")]},
        {"role": "user", "content": [text("b")]},
    ],
    "picture in an error": [
        {"role": "user", "content": [text("a")]},
        {"role": "assistant", "content": [call("c")]},
        {"role": "user", "content": [{**not_run("c", "x"), "content": [image_block("image/png", PNG)]}]},
    ],
}


@pytest.mark.parametrize("name", INVALID)
def test_the_check_refuses(name: str) -> None:
    with pytest.raises(InvalidHistory):
        validate_history(INVALID[name])


# Any conversation of a few replies, any block kinds, any number of calls.
_names = st.integers(0, 10**9).map(lambda n: f"toolu_{n}")
_call = _names.map(lambda name: tool_use(name, "python", code=f"print({name!r})"))
_words = st.text("ab \n", min_size=0, max_size=40).map(text)
_thought = st.text("xyz", min_size=1, max_size=30).map(thinking)
_reply = st.lists(st.one_of(_words, _thought, _call), max_size=5)
_replies = st.lists(_reply, min_size=1, max_size=4)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(replies=_replies, at=st.integers(0, 3), before=st.integers(0, 40), kill=st.booleans())
def test_wherever_a_conversation_breaks_off_the_next_request_is_valid(
    replies: list[list[Block]], at: int, before: int, kill: bool
) -> None:
    """Interrupted, or killed and taken up again: what is sent then passes our check and the service's."""
    asyncio.run(_broken_off(replies, at % len(replies), before, kill))


async def _broken_off(replies: list[list[Block]], at: int, before: int, kill: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        client = InProcessSession(Path(folder) / "amber-wren")
        hold = Hold(before)
        script: list[Any] = [Scripted(r, hold=hold if i == at else None) for i, r in enumerate(replies)]
        async with staged(client, [*script, [text("the end")], [text("of it")]]) as stage:
            turn = stage.turn()
            asking = asyncio.create_task(turn.ask("go"))
            holding = asyncio.create_task(hold.reached.wait())
            await asyncio.wait({asking, holding}, return_when=asyncio.FIRST_COMPLETED)
            holding.cancel()
            if kill:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
            else:
                await turn.interrupt()
                await asking
            stage.script.continue_with([[text("taken up")], [text("again")]])
            await stage.turn().resume()
            await stage.ask("and now?")
            assert stage.script.refused == []
            assert len(client.executed) == len(set(client.executed))
            records = read(client.folder.journal).records
            validate_history(history([*records, user(text("next"), turn="t9")]))
        await client.close()
