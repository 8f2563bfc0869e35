"""The tools that the model gets. Their order is part of the cached prefix of each request."""

from __future__ import annotations

from .base import BadToolInput, Tool
from .bash import Bash
from .editor import Editor
from .node import Node
from .present import PresentFiles
from .python import Python
from .restart import RestartKernel

TOOLS: tuple[Tool, ...] = (Python(), Bash(), Node(), Editor(), PresentFiles(), RestartKernel())


def find(name: str) -> Tool:
    """Raises BadToolInput with the names that there are."""
    for tool in TOOLS:
        if tool.name == name:
            return tool
    raise BadToolInput(f"There is no tool {name!r}.", f"There are: {', '.join(tool.name for tool in TOOLS)}.")
