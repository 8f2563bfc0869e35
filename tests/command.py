"""The real command, and how it ends."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

COMMAND = (sys.executable, "-m", "kernel_gateway")


@dataclass
class Finished:
    """A command that has ended, as a person or a script sees it."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)
