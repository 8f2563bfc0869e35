"""``str_replace_based_edit_tool``: files are viewed and changed by small cells that need nothing but the standard library.

What a cell looks like is decided from the arguments alone. The old text of an edit must occur exactly once when the cell runs, also on a
re-run: else the cell fails and changes nothing.
"""

from __future__ import annotations

import re
from typing import Any, cast

from ..supervisor.runs import RunResult
from . import arguments as given
from . import results
from .base import BadToolInput, Block, Plan
from .editor_cells import VIEW_CHARACTERS, create_cell, insert_cell, picture_cell, replace_cell, view_cell

_PICTURE = re.compile(r"\.(png|jpe?g|gif|webp)$", re.IGNORECASE)


class Editor:
    name = "str_replace_based_edit_tool"

    def schema(self) -> dict[str, Any]:
        return {"max_characters": VIEW_CHARACTERS, "name": self.name, "type": "text_editor_20250728"}

    def plan(self, arguments: dict[str, Any]) -> Plan:
        path = given.portable(given.text(arguments, "path"))
        command = given.text(arguments, "command")
        if command == "view":
            return Plan("cell", _view(path, arguments.get("view_range")))
        if command == "create":
            return Plan("cell", create_cell(path, given.text(arguments, "file_text", "")))
        if command == "str_replace":
            return Plan("cell", _replace(path, arguments))
        if command == "insert":
            return Plan("cell", _insert(path, arguments))
        raise BadToolInput(f"`command` must be view, create, str_replace or insert, not {command!r}.")

    def result(self, arguments: dict[str, Any], result: RunResult) -> list[Block]:
        return results.content(result, frames=False)


def _view(path: str, view_range: Any) -> str:
    if view_range is None:
        return picture_cell(path) if _PICTURE.search(path) else view_cell(path)
    bounds = cast("list[Any]", view_range) if isinstance(view_range, list) else []
    if len(bounds) != 2:
        raise BadToolInput("`view_range` must be two numbers, [first, last]; -1 as the last means the end.")
    first, last = (given.integer(bound, "view_range") for bound in bounds)
    if first < 1 or (last != -1 and last < first):
        raise BadToolInput("`view_range` counts lines from 1, and its last is not before its first, or -1 for the end.")
    return view_cell(path, first, last)


def _replace(path: str, arguments: dict[str, Any]) -> str:
    old = given.text(arguments, "old_str")
    if not old:
        raise BadToolInput("`old_str` is empty.", "Use insert, or create to write a whole file.")
    return replace_cell(path, old, given.text(arguments, "new_str", ""))


def _insert(path: str, arguments: dict[str, Any]) -> str:
    line = given.integer(arguments.get("insert_line"), "insert_line")
    if line < 0:
        raise BadToolInput("`insert_line` is the line after which to insert; 0 is the beginning of the file.")
    name = "insert_text" if "insert_text" in arguments else "new_str"
    return insert_cell(path, line, given.text(arguments, name))
