"""What would keep a notebook's cells from running elsewhere: an honest list for whoever takes it along.

Best effort and without running anything: it reads sources, and what the notebook's metadata say of files and times.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from .outputs import mapping, sequence, text
from .render import RAW_EXITS, SETUP_TAG
from .sources import Source, names_needed, names_set

RESTART_TAG = "kernel-gateway-restart"
_When = TypeVar("_When", str, int)

_ROOTS = "workspace|outputs|image|tmp|home|root|Users|mnt|media|data|srv"
_ABSOLUTE = re.compile(rf"(?:file://)?(?:/(?:{_ROOTS}|etc|usr|var|opt|proc|sys|run)(?:/|$)|~(?:/|$)|[A-Za-z]:[\\/]\w)")
_ABSOLUTE_IN_SHELL = re.compile(rf"(?:^|(?<=[\s='\"(:<>]))(?:/(?:{_ROOTS})(?:/[^\s'\";)|]*)?(?![\w-])|~/[^\s'\";)|]*)")
_INSTALL = re.compile(r"\b(pip3?|conda|mamba|apt|apt-get|npm|pnpm|yarn)\s+(?:-\S+\s+)*(?:install|add|i|ci)\b[^;&|]*")
_FETCH = re.compile(r"(?<![\w./-])(curl|wget|git\s+clone|git\s+pull|ssh|scp|rsync|npx)\s[^;&|]*")
_NODE_FETCH = re.compile(r"\bfetch\s*\(|\baxios\b|\brequire\(['\"](?:node:)?https?['\"]\)")
_NETWORK_CALL = re.compile(
    r"(requests|httpx|aiohttp|urllib3|ftplib|smtplib|boto3|yfinance|yf|wget|nltk)\.\w+.*|(.*\.)?(urlopen|urlretrieve|load_dataset|"
    r"fetch_openml|fetch_california_housing|fetch_20newsgroups|fetch_olivetti_faces|fetch_lfw_people|snapshot_download|from_pretrained)"
)
_URL = re.compile(r"(https?|ftp|s3|gs)://")
_READING = re.compile(
    r"(.*\.)?(read_\w+|open|load|loadtxt|genfromtxt|imread|load_workbook|Document|Presentation|PdfReader|connect)"
)


@dataclass(frozen=True)
class Problem:
    """A reason why a cell would not run elsewhere, or not to the same result. ``number`` is the cell's place, from 1."""

    cell: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"cell {self.number}: {self.text}"


@dataclass(frozen=True)
class _Cell:
    number: int
    node: Mapping[str, Any]

    @property
    def source(self) -> Source:
        return Source(text(self.node.get("source", "")))

    @property
    def ours(self) -> Mapping[str, Any]:
        return mapping(mapping(self.node.get("metadata")).get("kernel_gateway"))

    @property
    def is_code(self) -> bool:
        return self.node.get("cell_type") == "code"

    def has_tag(self, tag: str) -> bool:
        return tag in sequence(mapping(self.node.get("metadata")).get("tags"))

    def problem(self, body: str) -> Problem:
        return Problem(text(self.node.get("id") or f"cell-{self.number}"), self.number, body)


def problems(notebook: Mapping[str, Any], folder: Path | None = None) -> list[Problem]:
    """Each cell that would not run elsewhere, in the order of the cells. ``folder`` is where the notebook lies, when it does:
    files that lie there, or in its ``workspace``, are not missing.
    """
    cells = [_Cell(n, c) for n, c in enumerate(sequence(notebook["cells"]), 1)]
    executable = [c for c in cells if c.is_code and not c.has_tag(SETUP_TAG) and not c.has_tag(RESTART_TAG)]
    kept = [c for c in cells if c.node.get("cell_type") == "raw" and c.ours.get("exit") in RAW_EXITS]
    found: list[Problem] = []
    for cell in executable:
        found += [cell.problem(body) for check in _CHECKS for body in check(cell.source)]
    found += [cell.problem(_why_kept(cell)) for cell in kept]
    found += _missing_files(notebook, executable, folder)
    found += _order(executable)
    found += _after_kept(cells)
    found += _languages(executable)
    return sorted(found, key=lambda p: p.number)


def _absolute_paths(source: Source) -> Iterator[str]:
    if source.language == "python":
        paths = [s for s in source.strings() if _ABSOLUTE.match(s) and "\n" not in s]
        paths += [m[0] for line in source.shell for m in _ABSOLUTE_IN_SHELL.finditer(line)]
    elif source.language == "file":
        paths = [source.argument] if _ABSOLUTE.match(source.argument) else []
    else:
        lines = (
            source.shell
            if source.language == "bash"
            else re.sub(r"^\s*//.*$", "", source.body, flags=re.M).splitlines()
        )
        paths = [m[0] for line in lines for m in _ABSOLUTE_IN_SHELL.finditer(line)]
    if paths:
        yield f"uses an absolute path: {_some(paths)}"


def _network(source: Source) -> Iterator[str]:
    if installs := [m[0].strip() for line in source.shell if (m := _INSTALL.search(line))]:
        yield f"installs packages, which needs the network: {_some(installs)}"
    uses = [m[0].strip() for line in source.shell if not _INSTALL.search(line) and (m := _FETCH.search(line))]
    uses += [name for name, call in source.calls() if _NETWORK_CALL.fullmatch(name) or _reads_address(name, call)]
    if source.language == "node":
        uses += [m[0] for m in _NODE_FETCH.finditer(source.body)]
    if uses:
        yield f"uses the network: {_some(uses)}"


def _reads_address(name: str, call: ast.Call) -> bool:
    first = _first_text(call)
    return first is not None and bool(_URL.match(first) and _READING.fullmatch(name))


_CHECKS: tuple[Callable[[Source], Iterator[str]], ...] = (_absolute_paths, _network)


def _why_kept(cell: _Cell) -> str:
    why = {
        "timeout": "timed out",
        "interrupted": "was interrupted",
        "died": "ended with its kernel",
        "aborted": "never ran",
    }[text(cell.ours.get("exit"))]
    return f"{why} and is kept as text: a run of the notebook passes over it"


# Files


def _missing_files(notebook: Mapping[str, Any], cells: list[_Cell], folder: Path | None) -> Iterator[Problem]:
    """A file is looked for once, where it is first read."""
    given = {text(f["path"]): f for f in map(mapping, sequence(_metadata(notebook).get("inputs"))) if "path" in f}
    seen = ""
    made: set[str] = set()
    for cell in cells:
        source = cell.source
        wanted = {path for path in given if _mentions(source.text, path)} | set(files_read(source))
        for path in sorted(wanted - made):
            if path not in seen and not _lies_beside(folder, path):
                yield cell.problem(_missing(path, any(path == g or path.startswith(f"{g}/") for g in given)))
        seen += re.sub(r"^\s*(#|//).*$", "", source.text, flags=re.M)
        made |= {text(f.get("path")) for f in map(mapping, sequence(cell.ours.get("files")))}
        if source.language == "file":
            made.add(source.argument)


def _metadata(notebook: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(mapping(notebook.get("metadata")).get("kernel_gateway"))


def _mentions(source: str, path: str) -> bool:
    return bool(re.search(rf"(?<![\w.-]){re.escape(path)}(?![\w-])", source))


def files_read(source: Source) -> Iterator[str]:
    """Relative paths that the Python of a cell names where it reads a file."""
    for name, call in source.calls():
        path = _first_text(call)
        if path is None or not _READING.fullmatch(name) or _writes(name, call):
            continue
        if re.fullmatch(r"[^\n{}*:<>|?]{1,200}\.\w{1,8}", path) and not path.startswith(("/", "~")):
            yield path.removeprefix("./")


def _first_text(call: ast.Call) -> str | None:
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _writes(name: str, call: ast.Call) -> bool:
    if name.endswith("connect"):
        return True
    modes = [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "mode")]
    return any(
        isinstance(m, ast.Constant) and isinstance(m.value, str) and m.value[:1] in ("w", "a", "x") for m in modes
    )


def _lies_beside(folder: Path | None, path: str) -> bool:
    return folder is not None and any((base / path).exists() for base in (folder / "workspace", folder))


def _missing(path: str, is_given: bool) -> str:
    if is_given:
        return f"reads {path}, which was given to the session: take it along in workspace/ beside the notebook"
    return f"reads {path}, which no cell above makes and nobody gave to the session"


# Order


def _order(cells: list[_Cell]) -> Iterator[Problem]:
    """Cells that ran after one that stands below them; a run from top to bottom is another history."""
    times = [(cell, when) for cell in cells if isinstance(when := _started(cell), str)]
    counts = [(cell, n) for cell in cells if isinstance(n := cell.node.get("execution_count"), int)]
    yield from _late(times) if times else _late(counts)


def _late(ran: list[tuple[_Cell, _When]]) -> Iterator[Problem]:
    earliest: tuple[_Cell, _When] | None = None
    for cell, when in reversed(ran):
        if earliest is not None and earliest[1] < when:
            yield cell.problem(f"ran after cell {earliest[0].number}, which stands below it")
        else:
            earliest = (cell, when)


def _started(cell: _Cell) -> Any:
    return mapping(mapping(cell.node.get("metadata")).get("execution")).get("iopub.execute_input")


def _after_kept(cells: list[_Cell]) -> Iterator[Problem]:
    """Cells that use a name which a cell kept as text may have set before it was stopped."""
    may_be_set: dict[str, int] = {}
    for cell in cells:
        if cell.has_tag(RESTART_TAG):
            may_be_set.clear()
        elif cell.is_code and may_be_set:
            tree = cell.source.tree
            used = sorted(names_needed(tree) & may_be_set.keys())
            if used:
                numbers = sorted({may_be_set[name] for name in used})
                yield cell.problem(
                    f"uses {_some(used)}, which cell {_some(map(str, numbers))} (kept as text) may have set"
                )
            for name in names_set(tree):
                may_be_set.pop(name, None)
        elif not cell.is_code and cell.ours.get("exit") in ("timeout", "interrupted"):
            may_be_set |= dict.fromkeys(names_set(cell.source.tree), cell.number)


def _languages(cells: list[_Cell]) -> Iterator[Problem]:
    """Said once, at the first cell of the language."""
    for language, need in (("bash", "bash 4.4 or newer, on Linux or macOS"), ("node", "Node 20 or newer on PATH")):
        using = [c for c in cells if c.source.language == language]
        if using:
            others = f" (so do cells {_some(str(c.number) for c in using[1:])})" if using[1:] else ""
            yield using[0].problem(f"needs {need}{others}")


def _some(values: Iterator[str] | list[str] | map[str], limit: int = 3) -> str:
    found = list(dict.fromkeys(v if len(v) <= 60 else f"{v[:59]}…" for v in values))
    rest = f" and {len(found) - limit} more" if len(found) > limit else ""
    return ", ".join(found[:limit]) + rest
