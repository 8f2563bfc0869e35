"""``bash``: a ``%%bash`` cell, all in one bash process. The type is Anthropic's, so the system prompt and not a description tells of
``# timeout: N``.
"""

from __future__ import annotations

import re
from typing import Any

from ..supervisor.runs import RunResult
from . import arguments as given
from . import results
from .base import BadToolInput, Block, Plan
from .literal import magic_cell

_TIMEOUT = re.compile(r"\s*#\s*timeout:\s*(\d+(?:\.\d+)?)\s*s?(?:econds)?\s*$", re.IGNORECASE)
RESTART_SOURCE = "%bash_restart"


class Bash:
    name = "bash"

    def schema(self) -> dict[str, Any]:
        return {"name": "bash", "type": "bash_20250124"}

    def plan(self, arguments: dict[str, Any]) -> Plan:
        if arguments.get("restart") is True:
            return Plan("cell", RESTART_SOURCE, needs=("bash",))
        if "command" not in arguments:
            raise BadToolInput("Give a `command`, or `restart`: true.")
        command = given.code(arguments, "command")
        return Plan("cell", magic_cell("bash", command), needs=("bash",), timeout=_timeout(command))

    def result(self, arguments: dict[str, Any], result: RunResult) -> list[Block]:
        if arguments.get("restart") is True and result.exit == "ok" and not result.outputs:
            return results.content(result, silent="bash was restarted: its variables, folder and jobs are gone.")
        return results.content(result)


def _timeout(command: str) -> float | None:
    """Of a first line such as ``# timeout: 900``."""
    found = _TIMEOUT.match(command.split("\n", 1)[0])
    return given.seconds(float(found[1])) if found else None
