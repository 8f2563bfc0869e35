"""The prompt cache is kept: each request begins with the bytes of the one before it."""

from __future__ import annotations

import itertools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.agent.caching import LOOK_BACK, with_breakpoints, without_marks
from kernel_gateway.scripted_model import text, thinking, tool_use

from .conftest import staged
from .standin import InProcessSession


def _prefix(body: dict[str, Any]) -> bytes:
    """What the cache compares, in its order, up to where the last message may still grow."""
    parts = [body["tools"], body["system"], body["messages"]]
    return json.dumps(without_marks(parts)).encode().rstrip(b"]}")


async def test_each_request_begins_with_the_one_before(client: InProcessSession) -> None:
    many = [tool_use(f"m{i}", "python", code=f"print({i})") for i in range(30)]
    turns = [
        [thinking("hm"), text("one"), tool_use("c1", "python", code="print(1)")],
        many,
        [text("done")],
        [tool_use("c2", "python", code="1 / 0")],
        [text("sorry")],
    ]
    async with staged(client, turns) as stage:
        await stage.ask("first")
        await stage.ask("second")
        for one, next_one in itertools.pairwise(stage.script.requests):
            assert _prefix(next_one).startswith(_prefix(one))


async def test_a_resumed_conversation_has_the_same_bytes(client: InProcessSession) -> None:
    async with staged(client, [[tool_use("c1", "python", code="print(1)")], [text("one")], [text("two")]]) as stage:
        await stage.ask("first")
        # A new Turn reads everything from the journal.
        await stage.ask("second")
        assert _prefix(stage.script.requests[2]).startswith(_prefix(stage.script.requests[1]))


async def test_breakpoints_are_on_the_system_prompt_and_the_last_block(client: InProcessSession) -> None:
    async with staged(client, [[text("ok")]]) as stage:
        await stage.ask("hi")
        body = stage.script.requests[0]
        assert "cache_control" in body["system"][-1] and "cache_control" in body["messages"][-1]["content"][-1]


def _marks(messages: list[dict[str, Any]]) -> list[int]:
    blocks = [b for m in messages for b in m["content"]]
    return [i for i, b in enumerate(blocks) if "cache_control" in b]


@given(st.lists(st.integers(1, 12), min_size=1, max_size=12))
def test_there_is_always_a_breakpoint_within_reach_of_the_one_before_last(sizes: list[int]) -> None:
    messages = [{"role": "x", "content": [text("t")] * size} for size in sizes]
    marks = _marks(with_breakpoints(messages))
    assert marks[-1] == sum(sizes) - 1
    assert len(marks) <= 2 and marks[-1] - marks[0] < LOOK_BACK


def test_thinking_gets_no_breakpoint() -> None:
    messages = [{"role": "user", "content": [text("a")]}, {"role": "assistant", "content": [thinking("b")]}]
    assert _marks(with_breakpoints(messages)) == [0]


def test_marking_changes_no_message_in_place() -> None:
    messages = [{"role": "user", "content": [text("a")]}]
    with_breakpoints(messages)
    assert messages == [{"role": "user", "content": [text("a")]}]
