"""``node``: a ``%%node`` cell."""

from __future__ import annotations

import copy
from typing import Any

from ..supervisor.runs import RunResult
from . import arguments as given
from . import results
from .base import Block, Plan
from .literal import magic_cell

_SCHEMA: dict[str, Any] = {
    "description": (
        "Run JavaScript in the session's Node.js process, as a cell of the notebook. Variables, functions and modules stay for the "
        "cells that follow, as at Node's own prompt: `const` may be declared again, `await` and `import x from 'y'` work at the top "
        "level, `require` works too, and the value of the last expression is printed. Packages come from the workspace's "
        "`node_modules`. The working folder is the workspace: give relative paths. `process.exit()` ends the process and loses its "
        "variables. Python and bash have states of their own; exchange data through files."
    ),
    "input_schema": {
        "additionalProperties": False,
        "properties": {
            "code": {"description": "The JavaScript of the cell.", "type": "string"},
            "timeout": given.TIMEOUT_SCHEMA,
        },
        "required": ["code"],
        "type": "object",
    },
    "name": "node",
}


class Node:
    name = "node"

    def schema(self) -> dict[str, Any]:
        return copy.deepcopy(_SCHEMA)

    def plan(self, arguments: dict[str, Any]) -> Plan:
        source = magic_cell("node", given.code(arguments, "code"))
        return Plan("cell", source, needs=("node",), timeout=given.seconds(arguments.get("timeout")))

    def result(self, arguments: dict[str, Any], result: RunResult) -> list[Block]:
        return results.content(result)
