"""From the verdicts on cells to one on the notebook: the first cause first, and what follows from it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from .compare.files import HASH_ONLY
from .compare.model import VERDICTS, CellVerdict, Part, Verdict, worst

GOOD: tuple[Verdict, ...] = ("same", "close", "volatile")
_NAME = re.compile(r"(?:NameError|UnboundLocalError|ReferenceError)\b.*?['‘]?\b(\w+)['’]? is not defined")
_IMPORT = re.compile(r"cannot import name '(\w+)'|No module named '([\w.]+)'")
_FILE = re.compile(r"(?:FileNotFoundError|No such file or directory|ENOENT|OperationalError)")


@dataclass(frozen=True)
class Follows:
    """A cell that is as it is because of an earlier one; ``is_certain``: its error names what that one would have made."""

    cell: int
    is_certain: bool

    def words(self) -> str:
        return f"follows from cell {self.cell}" if self.is_certain else f"may follow from cell {self.cell}"


@dataclass(frozen=True)
class NotebookVerdict:
    """The verdict on a notebook. Cells count from 1; ``numbers`` are theirs, in the order of ``cells``.

    ``cause`` is the first cell that is not good and follows from no other, ``follows`` says it of the others. ``edited``: their source is
    not that of the recorded run. ``cannot_run``: why nothing was compared.
    """

    cells: tuple[CellVerdict, ...]
    numbers: tuple[int, ...]
    counts: Mapping[Verdict, int]
    cause: int | None = None
    follows: Mapping[int, Follows] = field(default_factory=dict[int, Follows])
    cannot_run: str = ""
    edited: tuple[int, ...] = ()

    @property
    def exit_code(self) -> int:
        """0: nothing changed; 1: something did; 2: it could not be run."""
        if self.cannot_run:
            return 2
        return 1 if any(self.counts.get(v) for v in VERDICTS if v not in GOOD) else 0

    def cell(self, number: int) -> CellVerdict:
        return self.cells[self.numbers.index(number)]

    @property
    def headline(self) -> str:
        """One sentence: what became of it, and the first cause."""
        if self.cannot_run:
            return f"It could not be run: {self.cannot_run}"
        if self.cause is None:
            return _good(self.counts, len(self.cells))
        told = [f"Cell {self.cause} {_said(self.cell(self.cause))}.", *self._edited(), *self._more()]
        return " ".join(told)

    def _edited(self) -> Iterator[str]:
        """Of the first cause, and of what ran before it."""
        if self.cause in self.edited:
            yield "Its source was edited after it ran."
        before = [
            n for n in self.edited if self.cause is not None and self.numbers.index(n) < self.numbers.index(self.cause)
        ]
        if before:
            yield f"Before it, {'cell' if len(before) == 1 else 'cells'} {_listed(before)} had been edited after the recorded run."

    def _more(self) -> Iterator[str]:
        """What else is not good: what follows, from which cell; and how many differ by themselves."""
        roots = Counter(f.cell for f in self.follows.values())
        alone = [n for n, v in zip(self.numbers, self.cells, strict=True) if v.verdict not in GOOD]
        others = [n for n in alone if n != self.cause and n not in self.follows]
        parts = [
            _count(n, "follows", "follow") + (" from it" if cell == self.cause else f" from cell {cell}")
            for cell, n in sorted(roots.items())
        ]
        failing = sum(self.cell(n).verdict == "error" for n in others)
        parts += [_count(failing, "fails", "fail") + " besides"] if failing else []
        parts += [_count(len(others) - failing, "differs", "differ") + " besides"] if len(others) > failing else []
        if parts:
            yield f"{', '.join(parts)}."

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints. Pictures are left out; ``picture`` says whether there is one."""
        return {
            "verdict": "cannot run" if self.cannot_run else "changed" if self.exit_code else "good",
            "exit_code": self.exit_code,
            "headline": self.headline,
            "counts": dict(self.counts),
            "cause": self.cause,
            "cells": [self._cell_to_json(n, v) for n, v in zip(self.numbers, self.cells, strict=True)],
        }

    def _cell_to_json(self, number: int, verdict: CellVerdict) -> dict[str, Any]:
        follows = self.follows.get(number)
        return {
            "cell": number,
            "verdict": verdict.verdict,
            "reason": verdict.reason,
            "edited": number in self.edited,
            "follows": None if follows is None else asdict(follows),
            "parts": [_part_to_json(p) for p in verdict.parts],
        }


def summarise(
    cells: Sequence[CellVerdict],
    numbers: Sequence[int] | None = None,
    *,
    cannot_run: str = "",
    edited: Sequence[int] = (),
) -> NotebookVerdict:
    """The verdict on a notebook of these cells, in the order in which they ran. ``numbers``: what they are called, else 1, 2, …

    ``edited`` are the numbers of those whose source is not that of the recorded run.
    """
    names = tuple(numbers or range(1, len(cells) + 1))
    cells = [_without_overwritten(c, cells[n + 1 :], names[n + 1 :]) for n, c in enumerate(cells)]
    counted = Counter(c.verdict for c in cells)
    counts: dict[Verdict, int] = {v: counted[v] for v in VERDICTS}
    follows = _follows(cells, names)
    bad = (n for n, c in zip(names, cells, strict=True) if c.verdict not in GOOD and n not in follows)
    return NotebookVerdict(tuple(cells), names, counts, next(bad, None), follows, cannot_run, tuple(edited))


def _without_overwritten(cell: CellVerdict, later: Sequence[CellVerdict], names: Sequence[int]) -> CellVerdict:
    """A file's state that a later cell overwrote is not kept. Where that cell's state is as recorded, the earlier one is no finding."""
    parts = tuple(_overwritten(p, later, names) if p.reason == HASH_ONLY else p for p in cell.parts)
    return cell if parts == cell.parts else replace(cell, parts=parts, verdict=worst(p.verdict for p in parts))


def _overwritten(part: Part, later: Sequence[CellVerdict], names: Sequence[int]) -> Part:
    for number, cell in zip(names, later, strict=True):
        for other in cell.parts:
            if other.path == part.path and other.verdict in GOOD:
                reason = (
                    f"this state was overwritten by cell {number} and not kept; what that cell left is {other.verdict}"
                )
                return replace(part, verdict="volatile", reason=reason)
    return part


def _follows(cells: Sequence[CellVerdict], names: Sequence[int]) -> dict[int, Follows]:
    """What each bad cell follows from, led back to the first of the chain."""
    found: dict[int, Follows] = {}
    bad: list[tuple[int, CellVerdict, Source]] = []
    for number, cell in zip(names, cells, strict=True):
        if cell.verdict in GOOD:
            continue
        source = read_source(cell.source)
        origin = _origin(cell, source, bad)
        if origin is not None:
            root = found.get(origin.cell)
            found[number] = origin if root is None else Follows(root.cell, root.is_certain and origin.is_certain)
        bad.append((number, cell, source))
    return found


def _origin(cell: CellVerdict, source: Source, earlier: Sequence[tuple[int, CellVerdict, Source]]) -> Follows | None:
    if _is_not_run(cell):
        stopper = _stopper(earlier)
        return None if stopper is None else Follows(stopper, is_certain=True)
    missing = missing_names(cell.raised)
    for number, other, made in reversed(earlier):
        if missing & (made.writes | {m.partition(".")[0] for m in made.writes}) or _wants_file(cell, other, made):
            return Follows(number, is_certain=True)
    if missing:
        return None
    for number, _, made in reversed(earlier):
        if made.writes & source.reads:
            return Follows(number, is_certain=False)
    return None


def _stopper(earlier: Sequence[tuple[int, CellVerdict, Source]]) -> int | None:
    """The cell after which none was run: the last that ran and failed, however many before it only gave something else."""
    ran = [(number, cell) for number, cell, _ in earlier if not _is_not_run(cell)]
    failed = [number for number, cell in ran if cell.verdict == "error"]
    return failed[-1] if failed else ran[-1][0] if ran else None


def _is_not_run(cell: CellVerdict) -> bool:
    return cell.verdict == "missing" and any(p.reason == "it was not run" for p in cell.parts)


def missing_names(raised: str) -> set[str]:
    """The names that an error says are not defined."""
    names = {m[1] for m in _NAME.finditer(raised)}
    return names | {(m[1] or m[2]).partition(".")[0] for m in _IMPORT.finditer(raised)}


def _wants_file(cell: CellVerdict, other: CellVerdict, made: Source) -> bool:
    """Whether its error names a file that the other cell made when it was recorded, or writes by name."""
    if not _FILE.search(cell.raised):
        return False
    return any(PurePosixPath(path).name in cell.raised for path in (*other.made, *made.files) if path)


@dataclass(frozen=True)
class Source:
    """What a cell's source binds or changes, what it reads, and the texts in it that look like files."""

    writes: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()


def read_source(source: str) -> Source:
    """Of Python; magics and shell lines are passed over. Other languages and what cannot be parsed bind nothing that is known."""
    try:
        tree = ast.parse(_without_magics(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Source()
    texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    reads = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    files = frozenset(t for t in texts if re.fullmatch(r"[\w./ -]{1,200}\.\w{1,8}", t))
    return Source(frozenset(_writes(tree)), frozenset(reads), files)


def _without_magics(source: str) -> str:
    if source.lstrip().startswith("%%"):
        first, _, rest = source.lstrip().partition("\n")
        return rest if first.startswith(("%%time", "%%capture", "%%prun")) else ""
    return "\n".join("pass" if line.startswith(("%", "!")) else line for line in source.split("\n"))


def _writes(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            yield node.id
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            yield from _base(node)


def _base(node: ast.expr) -> Iterator[str]:
    """``frame`` in ``frame["a"].b = 1``."""
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _part_to_json(part: Part) -> dict[str, Any]:
    return {
        "where": part.where,
        "kind": part.kind,
        "verdict": part.verdict,
        "reason": part.reason,
        "changes": [asdict(c) for c in part.changes],
        "numbers": dict(part.numbers),
        "picture": part.picture is not None,
    }


def _good(counts: Mapping[Verdict, int], total: int) -> str:
    if counts.get("same", 0) == total:
        return f"All {total} cells gave the same." if total != 1 else "The one cell gave the same."
    told = ", ".join(f"{counts[v]} {v}" for v in GOOD if counts.get(v))
    return f"Nothing changed: of {total} cells {told}."


def _count(number: int, one: str, many: str) -> str:
    return f"1 later cell {one}" if number == 1 else f"{number} later cells {many}"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _said(cell: CellVerdict) -> str:
    return {"error": "fails", "missing": "lacks something", "differs": "differs"}.get(
        cell.verdict, cell.verdict
    ) + f": {cell.reason}"
