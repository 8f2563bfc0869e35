"""Parameters of a notebook: papermill's convention, and any literal that is assigned at the top level of a cell."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import BadRequest
from ..notebook.sources import Source
from .source import RecordedCell, Recording

PARAMETERS, INJECTED = "parameters", "injected-parameters"
_WORDS = {"true": True, "false": False, "none": None, "null": None}


@dataclass(frozen=True)
class Assignment:
    """``name = literal`` in a cell; ``start`` and ``end`` are offsets of the literal in the cell's source, in characters."""

    name: str
    value: Any
    cell: RecordedCell
    start: int
    end: int


def parse_value(text: str) -> Any:
    """A Python literal, true, false or null; any other text is itself."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return text


def with_parameters(recording: Recording, values: Mapping[str, Any]) -> tuple[Recording, list[str]]:
    """The notebook with these values, and what was done, in words.

    With a cell tagged ``parameters`` that assigns the names, a cell tagged ``injected-parameters`` follows it, in place of one that is
    there. Any other name is changed where it is first assigned a literal at the top level. Raises BadRequest naming the candidates.
    """
    if not values:
        return recording, []
    known = assignments(recording.cells)
    tagged = next((c for c in recording.cells if PARAMETERS in c.tags and c.role == "code"), None)
    injected = {
        k: v for k, v in values.items() if tagged is not None and any(a.cell is tagged and a.name == k for a in known)
    }
    replaced: dict[str, Assignment] = {}
    for name in values.keys() - injected.keys():
        found = next((a for a in known if a.name == name and INJECTED not in a.cell.tags), None)
        if found is None:
            raise _unknown(recording, name, known)
        replaced[name] = found
    cells = [_replaced(c, [(a, values[n]) for n, a in replaced.items() if a.cell is c]) for c in recording.cells]
    said = [f"cell {a.cell.number}: {n} = {values[n]!r} (was {a.value!r})" for n, a in sorted(replaced.items())]
    if injected and tagged is not None:
        cells = _inject(cells, tagged, injected)
        said += [f"after cell {tagged.number}: {name} = {value!r}" for name, value in injected.items()]
    return recording.with_cells(cells), said


def assignments(cells: Sequence[RecordedCell]) -> list[Assignment]:
    """Each top-level assignment of a literal to one name, in order."""
    return [a for cell in cells if cell.role == "code" for a in _assignments(cell)]


def _assignments(cell: RecordedCell) -> Iterator[Assignment]:
    source = Source(cell.source)
    if source.language != "python":
        return
    shift = len(cell.source) - len(source.body)
    lines = source.body.splitlines(keepends=True)
    for node in source.tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
        target = node.target if isinstance(node, ast.AnnAssign) else target
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if (
            not isinstance(target, ast.Name)
            or value is None
            or value.end_lineno is None
            or value.end_col_offset is None
        ):
            continue
        try:
            literal = ast.literal_eval(value)
        except (ValueError, TypeError, RecursionError, MemoryError):
            continue
        start = _offset(lines, value.lineno, value.col_offset)
        end = _offset(lines, value.end_lineno, value.end_col_offset)
        if _evaluates_to(source.body[start:end], literal):
            yield Assignment(target.id, literal, cell, shift + start, shift + end)


def _evaluates_to(text: str, literal: Any) -> bool:
    """Where a magic stands for the value (``x = !ls``) the text is no literal."""
    try:
        return bool(ast.literal_eval(text) == literal)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return False


def _offset(lines: Sequence[str], line: int, column: int) -> int:
    """ast counts bytes of UTF-8 within a line."""
    before = sum(len(text) for text in lines[: line - 1])
    return before + len(lines[line - 1].encode()[:column].decode(errors="replace"))


def _replaced(cell: RecordedCell, changes: Sequence[tuple[Assignment, Any]]) -> RecordedCell:
    source = cell.source
    for found, value in sorted(changes, key=lambda c: -c[0].start):
        source = source[: found.start] + repr(value) + source[found.end :]
    return replace(cell, source=source)


def _inject(cells: Sequence[RecordedCell], tagged: RecordedCell, values: Mapping[str, Any]) -> list[RecordedCell]:
    source = "\n".join(["# Parameters", *(f"{name} = {value!r}" for name, value in values.items())])
    taken = {c.id for c in cells}
    id_ = next(
        i
        for i in ("injected-parameters", *(f"injected-parameters-{n}" for n in range(len(cells) + 1)))
        if i not in taken
    )
    found: list[RecordedCell] = []
    for cell in cells:
        if INJECTED in cell.tags:
            continue
        found.append(cell)
        if cell.number == tagged.number:
            found.append(
                replace(tagged, id=id_, source=source, outputs=(), tags=(INJECTED,), run="", files={}, duration=0.0)
            )
    return _numbered(found)


def _numbered(cells: Sequence[RecordedCell]) -> list[RecordedCell]:
    numbers = iter(range(1, len(cells) + 1))
    return [replace(c, number=next(numbers)) if c.number else c for c in cells]


def _unknown(recording: Recording, name: str, known: Sequence[Assignment]) -> BadRequest:
    there = ", ".join(dict.fromkeys(f"{a.name} = {a.value!r}"[:60] for a in known))
    what = f"It could be one of: {there}." if there else "It assigns no literal at the top level of a cell."
    return BadRequest(f"{recording.name} assigns no literal to {name!r}.", what)
