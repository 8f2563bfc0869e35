"""What a model sent as a tool's input, checked. Each function raises BadToolInput with words that help the model to do better."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any, cast

from .base import BadToolInput

LONGEST_SECONDS = 3600
TIMEOUT_SCHEMA: dict[str, Any] = {
    "description": "Seconds after which the cell is interrupted, for work that takes longer than the usual limit.",
    "maximum": LONGEST_SECONDS,
    "minimum": 1,
    "type": "number",
}


def text(arguments: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A string; lone surrogates are borne, see `code`."""
    value = arguments.get(name, default)
    if value is None:
        raise BadToolInput(f"`{name}` is missing.")
    if not isinstance(value, str):
        raise BadToolInput(f"`{name}` must be a string.")
    return value


def code(arguments: Mapping[str, Any], name: str) -> str:
    """A string that becomes a cell's source as it is."""
    value = text(arguments, name)
    if not value.strip():
        raise BadToolInput(f"`{name}` is empty.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise BadToolInput(f"`{name}` holds half a character (a lone surrogate), which no program can read.")
    return value


def integer(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadToolInput(f"`{name}` must be a whole number.")
    return value


def seconds(value: Any) -> float | None:
    """None when there is none: the session's own limit holds."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= LONGEST_SECONDS:
        raise BadToolInput(f"`timeout` must be a number of seconds, more than 0 and at most {LONGEST_SECONDS}.")
    return float(value)


def strings(arguments: Mapping[str, Any], name: str) -> list[str]:
    """One or more."""
    value = arguments.get(name)
    items = cast("list[Any]", value) if isinstance(value, list) else []
    if not items or not all(isinstance(item, str) and item for item in items):
        raise BadToolInput(f"`{name}` must be a list of one or more strings.")
    return cast("list[str]", items)


def portable(path: str) -> str:
    """The path as a notebook may have it: relative where it lies below ``/workspace``, without ``.`` and doubled slashes."""
    if not path.strip():
        raise BadToolInput("The path is empty.")
    if not path.isprintable():
        raise BadToolInput("The path holds a line break or a character that cannot be printed.")
    normal = posixpath.normpath(path)
    if normal.startswith("//"):
        normal = normal[1:]
    if normal == "/workspace" or normal.startswith("/workspace/"):
        return normal[len("/workspace/") :] or "."
    return normal
