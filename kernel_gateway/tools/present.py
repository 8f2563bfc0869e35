"""``present_files``: shows files to the person; a markdown cell with links, no code."""

from __future__ import annotations

import copy
from typing import Any

from ..supervisor.runs import RunResult
from . import arguments as given
from . import results
from .base import Block, Plan

_SCHEMA: dict[str, Any] = {
    "description": (
        "Show files of the workspace to the person, as links with name and size; pictures are shown. Call it once at the end with "
        "what they asked for (reports, tables, charts), the most important first. It shows the files as they are then."
    ),
    "input_schema": {
        "additionalProperties": False,
        "properties": {
            "paths": {
                "description": "Paths relative to the workspace.",
                "items": {"type": "string"},
                "minItems": 1,
                "type": "array",
            }
        },
        "required": ["paths"],
        "type": "object",
    },
    "name": "present_files",
}


class PresentFiles:
    name = "present_files"

    def schema(self) -> dict[str, Any]:
        return copy.deepcopy(_SCHEMA)

    def plan(self, arguments: dict[str, Any]) -> Plan:
        paths = [given.portable(path) for path in given.strings(arguments, "paths")]
        return Plan("present", paths=tuple(dict.fromkeys(paths)))

    def result(self, arguments: dict[str, Any], result: RunResult) -> list[Block]:
        shown = f"Shown to the person:\n{results.listed(result.files)}" if result.files else "Nothing was shown."
        return [{"type": "text", "text": f"{shown}\n{result.notice or ''}".rstrip()}]
