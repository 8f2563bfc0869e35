"""What every tool is: a schema for the model, a cell for the notebook, a result for the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ..errors import BadRequest
from ..supervisor.runs import Language, RunResult

Block = dict[str, Any]


class BadToolInput(BadRequest):
    """The model's input does not fit the tool; told to the model as an error result, nothing runs."""


@dataclass(frozen=True)
class Plan:
    """What a tool call becomes.

    ``cell`` runs ``source`` as a code cell; ``restart`` restarts the kernel, then runs ``source`` (the marker); ``present`` makes no
    code cell: ``paths`` are shown to the person.
    """

    kind: Literal["cell", "restart", "present"]
    source: str = ""
    needs: Sequence[Language] = ()
    timeout: float | None = None
    paths: Sequence[str] = ()


class Tool(Protocol):
    """One tool. Pure: nothing here touches a kernel or a disk."""

    name: str

    def schema(self) -> dict[str, Any]:
        """The entry of the request's ``tools``; byte-stable, since it is part of the cached prefix."""
        ...

    def plan(self, arguments: dict[str, Any]) -> Plan:
        """Raises BadToolInput. Paths below ``/workspace`` come out relative, so that the cell runs anywhere."""
        ...

    def result(self, arguments: dict[str, Any], result: RunResult) -> list[Block]:
        """The content blocks of the ``tool_result``."""
        ...
