"""Prompt caching: where the breakpoints of a request lie. Tools and system must be the same bytes in each request of a session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .history import Message
from .reply import Block

MARK = {"type": "ephemeral"}
# The service looks at most 20 blocks back from a breakpoint for an entry that an earlier request wrote.
LOOK_BACK = 20
_MARKABLE = ("text", "image", "tool_use", "tool_result", "document")


def cached_system(text: str) -> list[Block]:
    """Tools come before the system prompt, so this one breakpoint covers both."""
    return [{"type": "text", "text": text, "cache_control": MARK}]


def with_breakpoints(messages: Sequence[Message]) -> list[Message]:
    """Marks the last block, and one about `LOOK_BACK` blocks before it: a turn with many calls at once would else miss its own cache."""
    places = [(m, b) for m, message in enumerate(messages) for b in range(len(message["content"]))]
    marked: set[tuple[int, int]] = set()
    for start in (len(places) - 1, len(places) - 1 - (LOOK_BACK - 2)):
        fitting = [p for p in places[: max(start + 1, 0)] if messages[p[0]]["content"][p[1]].get("type") in _MARKABLE]
        marked.update(fitting[-1:])
    return [{**message, "content": _mark(message["content"], m, marked)} for m, message in enumerate(messages)]


def _mark(blocks: Sequence[Block], message: int, marked: set[tuple[int, int]]) -> list[Block]:
    return [{**block, "cache_control": MARK} if (message, b) in marked else block for b, block in enumerate(blocks)]


def without_marks(value: Any) -> Any:
    """The same without breakpoints: what the cache compares."""
    if isinstance(value, dict):
        return {k: without_marks(v) for k, v in value.items() if k != "cache_control"}
    return [without_marks(v) for v in value] if isinstance(value, list) else value
