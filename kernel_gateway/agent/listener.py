"""What a front end is told while a turn runs."""

from __future__ import annotations

from typing import Protocol

from ..supervisor.runs import Output, RunResult
from .pricing import Usage


class Listener(Protocol):
    """Called on the event loop, in order; must return at once. Everything said here is also in the journal, or was never final."""

    def text(self, delta: str) -> None:
        """A piece of the model's words."""
        ...

    def thinking(self, delta: str) -> None:
        """A piece of the model's thinking, where the model shows it."""
        ...

    def retract(self, reason: str) -> None:
        """The words and thinking since the last reply began were cut off by a fault and are asked for again."""
        ...

    def tool_start(self, tool: str, cell: str, source: str) -> None:
        """A cell is about to run; ``source`` is what the notebook will show (empty for ``present_files``)."""
        ...

    def outputs(self, outputs: list[Output]) -> None:
        """Outputs of the running cell as they arrive, `clear_output` and `update_display_data` among them."""
        ...

    def tool_end(self, result: RunResult) -> None:
        """The cell's record. Its ``files`` are the new and changed ones, or those presented."""
        ...

    def usage(self, usage: Usage, cost: float | None) -> None:
        """Of the turn so far, after each reply; ``cost`` in US dollars, None when no price is known."""
        ...

    def notice(self, text: str) -> None:
        """Something the person should know: a retry, a refusal, a limit."""
        ...


class Silent:
    """A listener that does nothing; a base for those that hear only some of it."""

    def text(self, delta: str) -> None: ...
    def thinking(self, delta: str) -> None: ...
    def retract(self, reason: str) -> None: ...
    def tool_start(self, tool: str, cell: str, source: str) -> None: ...
    def outputs(self, outputs: list[Output]) -> None: ...
    def tool_end(self, result: RunResult) -> None: ...
    def usage(self, usage: Usage, cost: float | None) -> None: ...
    def notice(self, text: str) -> None: ...
