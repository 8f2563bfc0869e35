"""Reading a cell's source: its language, what it names, reads and calls. Best effort: nothing is run."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

_CELL_MAGIC = re.compile(r"\s*%%(\w+)([^\n]*)(?:\n|$)")
_LANGUAGES = {
    "bash": "bash",
    "sh": "bash",
    "node": "node",
    "javascript": "other",
    "js": "other",
    "writefile": "file",
    "file": "file",
}
_PYTHON_MAGICS = ("time", "timeit", "capture", "prun")
_LINE_MAGIC = re.compile(r"^(\s*)([%!].*|.*\?\??\s*)$")
_ASSIGNED_MAGIC = re.compile(r"^(\s*[\w, ]+=\s*)[!%].*$")


@dataclass(frozen=True)
class Source:
    """One cell's source. ``language`` is python, bash, node, file (what ``%%writefile`` writes) or other."""

    text: str

    @cached_property
    def _magic(self) -> re.Match[str] | None:
        return _CELL_MAGIC.match(self.text)

    @cached_property
    def language(self) -> str:
        name = self._magic[1] if self._magic else ""
        return "python" if not name or name in _PYTHON_MAGICS else _LANGUAGES.get(name, "other")

    @cached_property
    def argument(self) -> str:
        """What follows a cell magic on its line: the file of ``%%writefile``."""
        return self._magic[2].strip() if self._magic else ""

    @cached_property
    def body(self) -> str:
        return self.text[self._magic.end() :] if self._magic else self.text

    @cached_property
    def shell(self) -> list[str]:
        """The lines that a shell or package manager runs: a bash cell's, or those behind ``!`` and ``%``."""
        if self.language == "bash":
            return [line for line in self.body.splitlines() if not line.lstrip().startswith("#")]
        if self.language != "python":
            return []
        lines = [m[1] for line in self.body.splitlines() if (m := re.match(r"\s*(?:[\w, ]+=\s*)?[!%]+(.*)", line))]
        return lines + [" ".join(words) for words in _string_lists(self.tree)]

    @cached_property
    def tree(self) -> ast.Module:
        """The Python of the cell, magics left out; empty when it is none."""
        if self.language != "python":
            return ast.Module([], [])
        lines = [_without_magic(line) for line in self.body.splitlines()]
        flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return compile("\n".join(lines), "cell", "exec", flags, dont_inherit=True)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return ast.Module([], [])

    def strings(self) -> Iterator[str]:
        """Texts that the Python uses (docstrings are not used)."""
        idle = {id(n.value) for n in ast.walk(self.tree) if isinstance(n, ast.Expr)}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in idle:
                yield node.value

    def calls(self) -> Iterator[tuple[str, ast.Call]]:
        """Each call with its dotted name, such as ``pd.read_csv``; what is no name is left out of it."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield dotted(node.func), node


def dotted(node: ast.expr) -> str:
    """``a.b.c`` for such an expression; the last names of any other."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    return ".".join(reversed(parts))


def _without_magic(line: str) -> str:
    if assigned := _ASSIGNED_MAGIC.match(line):
        return f"{assigned[1]}None"
    if magic := _LINE_MAGIC.match(line):
        return f"{magic[1]}pass" if magic[2][0] in "%!" or magic[2].rstrip().endswith("?") else line
    return line


def _string_lists(tree: ast.Module) -> Iterator[list[str]]:
    """Commands given as lists, such as ``["pip", "install", "x"]``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.List) and len(node.elts) > 1:
            words = [e.value for e in node.elts if isinstance(e, ast.Constant) and isinstance(e.value, str)]
            if words:
                yield words


def names_set(tree: ast.Module) -> set[str]:
    """Names that running the module may set in its namespace."""
    found: set[str] = set()
    for node in _outside_functions(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(a.asname or a.name).split(".")[0] for a in node.names}
    return found


def _outside_functions(tree: ast.Module) -> Iterator[ast.AST]:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        inner = (
            ast.FunctionDef,
            ast.AsyncFunctionDef,
            ast.ClassDef,
            ast.Lambda,
            ast.ListComp,
            ast.SetComp,
            ast.DictComp,
            ast.GeneratorExp,
        )
        if not isinstance(node, inner):
            waiting.extend(ast.iter_child_nodes(node))


def names_needed(tree: ast.Module) -> set[str]:
    """Names that the module reads before it sets them itself."""
    needed: set[str] = set()
    known: set[str] = set()
    for statement in tree.body:
        sets = names_set(ast.Module([statement], []))
        reads = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            reads.add(statement.target.id)
        elif not isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Expr)):
            # A loop reads the names that it sets itself.
            reads -= sets
        needed |= reads - known
        known |= sets
    return needed
