"""``python``: a code cell."""

from __future__ import annotations

import copy
from typing import Any

from ..notebook.setup import needs
from ..supervisor.runs import RunResult
from . import arguments as given
from . import results
from .base import Block, Plan

_SCHEMA: dict[str, Any] = {
    "description": (
        "Run Python in the session's Jupyter kernel, as a cell of the notebook. Variables, imports and open figures stay for the "
        "cells that follow. `await` works at the top level, and IPython's `%magics` work. The value of the last line is shown as in "
        "any notebook: a DataFrame as a table, a figure as a picture, which comes back to you as an image. The working folder is the "
        "workspace: give relative paths, so that the notebook runs anywhere. New and changed files are listed after each cell. Long "
        "output comes back cut in the middle; print what you need, not everything."
    ),
    "input_schema": {
        "additionalProperties": False,
        "properties": {
            "code": {"description": "The source of the cell.", "type": "string"},
            "timeout": given.TIMEOUT_SCHEMA,
        },
        "required": ["code"],
        "type": "object",
    },
    "name": "python",
}


class Python:
    name = "python"

    def schema(self) -> dict[str, Any]:
        return copy.deepcopy(_SCHEMA)

    def plan(self, arguments: dict[str, Any]) -> Plan:
        code = given.code(arguments, "code")
        return Plan("cell", code, needs=needs(code), timeout=given.seconds(arguments.get("timeout")))

    def result(self, arguments: dict[str, Any], result: RunResult) -> list[Block]:
        return results.content(result)
