"""An answer as it grows: the model's words, a line for each cell, and what it cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from ...agent.listener import Silent
from ...agent.pricing import Usage, shown_cost
from ...errors import GatewayError
from ...supervisor.runs import RunResult
from .questions import Questions, code
from .rooms import SessionChat

# Each piece is the whole answer anew on the wire.
_PACE_SECONDS = 0.1
_ENDS = {
    "interrupted": "Stopped.",
    "abandoned": "Broken off.",
    "max_tokens": "The answer reached its limit of tokens.",
}


class Reply(Silent):
    """Listens to one turn. ``set_status`` says what the assistant is doing."""

    def __init__(self, chat: SessionChat, message: str, questions: Questions, set_status: Callable[[str], Any]) -> None:
        self._chat, self._message, self._questions, self._set_status = chat, message, questions, set_status
        self._parts: list[str] = []
        self._words = ""
        self._tool = ""
        self._drawing: asyncio.TimerHandle | None = None

    def restore(self, words: Sequence[str]) -> None:
        """What was said before, as the journal has it."""
        self._parts, self._words = list(words), ""

    def text(self, delta: str) -> None:
        self._words += delta
        self._draw_soon()

    def retract(self, reason: str) -> None:
        self._words = ""
        self._draw_soon()

    def tool_start(self, tool: str, cell: str, source: str) -> None:
        self._end_words()
        self._tool = tool
        self._parts.append(f"*{tool} …*")
        self._set_status("runs a cell…")
        self._draw_soon()

    def tool_end(self, result: RunResult) -> None:
        if self._tool == "present_files":
            self._parts[-1] = "Files: " + ", ".join(code(str(f["path"])) for f in result.files)
        else:
            error = f" {code(result.ename)}" if result.ename else ""
            self._parts[-1] = f"*{self._tool}: {result.exit}{error}, {result.duration:.1f} s*"
        self._set_status("is thinking…")
        self._draw_soon()

    def notice(self, text: str) -> None:
        self._end_words()
        self._parts.append(f"> {text}")
        self._draw_soon()

    def question(self, event: dict[str, Any]) -> None:
        self._questions.on_event(event)

    def end(self, stop_reason: str, usage: Usage, cost: float | None) -> None:
        self._end_words()
        if (how := _ENDS.get(stop_reason)) is not None:
            self._parts.append(f"**{how}**")
        self._parts.append(f"*{shown_cost(usage, cost)}*")

    def fail(self, error: GatewayError) -> None:
        self._end_words()
        self._parts.append(f"**{error.message}**")
        if error.next_step:
            self._parts.append(f"```text\n{error.next_step}\n```" if "\n" in error.next_step else error.next_step)

    def finish(self) -> None:
        """Nothing more comes."""
        self._questions.close()
        self._end_words()
        self._draw()

    def _end_words(self) -> None:
        if self._words.strip():
            self._parts.append(self._words.strip())
        self._words = ""

    def _draw_soon(self) -> None:
        if self._drawing is None:
            self._drawing = asyncio.get_running_loop().call_later(_PACE_SECONDS, self._draw)

    def _draw(self) -> None:
        if self._drawing is not None:
            self._drawing.cancel()
            self._drawing = None
        self._chat.show(self._message, "\n\n".join([*self._parts, self._words]).strip() or "…")
