"""``restart_kernel``: a fresh kernel; in the notebook, the marker cell that clears everything in plain Jupyter too."""

from __future__ import annotations

import copy
from typing import Any

from ..notebook.setup import restart_cell
from ..supervisor.runs import RunResult
from . import results
from .base import Block, Plan

_SCHEMA: dict[str, Any] = {
    "description": (
        "Start the kernel afresh: all variables and imports of Python, bash and Node.js are gone, files stay, and the working folder "
        "is the workspace again. Use it when the state is broken, or when a package was replaced after it had been imported."
    ),
    "input_schema": {"additionalProperties": False, "properties": {}, "type": "object"},
    "name": "restart_kernel",
}


class RestartKernel:
    name = "restart_kernel"

    def schema(self) -> dict[str, Any]:
        return copy.deepcopy(_SCHEMA)

    def plan(self, arguments: dict[str, Any]) -> Plan:
        return Plan("restart", restart_cell())

    def result(self, arguments: dict[str, Any], result: RunResult) -> list[Block]:
        return results.content(result, silent="The kernel was restarted: variables are gone, files are as they were.")
