"""A notebook as a Python script that runs without Jupyter, in the percent format that editors show as cells.

Python cells stand as they are, but for what is no Python: magics and ``!`` lines become calls, the value of a cell's last line is printed,
cells that raised when they were recorded, or await at their top level, are run from a text. `cells/script.py` is all they need.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from .outputs import mapping, sequence, text
from .render import SETUP_TAG
from .sources import Source

_RESTART_TAG = "kernel-gateway-restart"
_LINE = re.compile(r"^(?P<indent>[ \t]*)(?P<target>[\w, .\[\]'\"]+=\s*)?(?P<kind>[!%])(?P<second>!?)(?P<rest>.*)$")
_HELP = re.compile(r"^\s*\??\??[\w.]+\??\??\s*$")
_BODIES = ("time", "timeit", "capture", "prun")


def script(notebook: Mapping[str, Any], title: str) -> str:
    """The script: needs Python alone, and bash or Node where cells are in these languages."""
    parts = [_head(title)]
    for number, cell in enumerate(sequence(notebook["cells"]), 1):
        source = text(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(f"# %% [markdown]\n{_comment(source)}")
        elif cell["cell_type"] == "raw":
            parts.append(f"# %% [raw] Kept as text: a run passes over it.\n{_comment(source)}")
        else:
            parts.append(f"# %%\n{_code(cell, source, number)}")
    return "\n\n".join(parts) + "\n"


def _head(title: str) -> str:
    helper = (files("kernel_gateway.notebook.cells") / "script.py").read_text("utf-8")
    helper = re.sub(r"^# pyright:.*\n|  # (?:noqa|fmt|pyright)\b.*$", "", helper, flags=re.M).rstrip()
    return f"#!/usr/bin/env python3\n{_comment(title)}\n#\n{helper}"


def _comment(source: str) -> str:
    return "\n".join(f"# {line}".rstrip() for line in source.splitlines()) or "#"


def _code(cell: Mapping[str, Any], source: str, number: int) -> str:
    metadata = mapping(cell["metadata"])
    tags = sequence(metadata.get("tags"))
    if _RESTART_TAG in tags:
        return f"# Here the kernel began afresh.\ncells.restart(globals())\n\n{_comment(source)}"
    if SETUP_TAG in tags:
        return f"cells.setup({_literal(source)})"
    body = _statements(source)
    if body is None:
        return f"# This is no Python, or needs IPython:\n{_comment(source)}\npass"
    if _needs_text(body):
        return f"cells.run({_literal(body)}, globals(), {number})"
    shown = _showing(body)
    if "raises-exception" in tags:
        return f"# It raised when it was recorded; the script goes on behind it.\ncells.may_raise({_literal(shown)}, globals(), {number})"
    return shown


def _statements(source: str) -> str | None:
    """Python for a cell, or None."""
    read = Source(source)
    magic = re.match(r"\s*%%(\w+)[ \t]*([^\n]*)(?:\n|$)", source)
    if magic is None:
        return _python(source)
    name, argument, body = magic[1], magic[2].strip(), source[magic.end() :]
    if name in _BODIES:
        return f"# %%{name} {argument}".rstrip() + f"\n{_python(body)}"
    if read.language == "file":
        append = argument.startswith(("-a ", "--append "))
        path = argument.split(None, 1)[1] if append else argument
        return f"cells.write({path!r}, {_literal(body)}, append={append})"
    return f"cells.magic({name!r}, {argument!r}, {_literal(body)})"


def _python(source: str) -> str | None:
    if _is_python(source):
        return source.rstrip("\n")
    lines = [_line(line) for line in source.rstrip("\n").split("\n")]
    found = "\n".join(lines)
    return found if _is_python(found) else None


def _line(line: str) -> str:
    found = _LINE.match(line)
    if found is None:
        return f"pass  # {line.strip()}" if _HELP.match(line) and "?" in line else line
    indent, target, rest = found["indent"], found["target"] or "", found["rest"].strip()
    if found["kind"] == "!":
        call = "output" if target or found["second"] else "system"
        return f"{indent}{target}cells.{call}({rest!r}, globals())"
    name, _, argument = rest.partition(" ")
    if name in ("pip", "conda", "cd", "env", "bash_restart", "node_restart") and not target:
        return f"{indent}cells.line({name!r}, {argument.strip()!r}, globals())"
    if name in ("time", "timeit") and argument:
        return f"{indent}{target}{argument}"
    return f"{indent}{target or ''}{'None' if target else 'pass'}  # %{rest}"


def _is_python(source: str) -> bool:
    return bool(source.strip() == "" or _parsed(source) is not None)


def _parsed(source: str) -> ast.Module | None:
    tree = Source(source).tree
    # An empty tree is also what comes of what is no Python.
    if tree.body:
        return tree if _compiles(source) else None
    return tree if all(not line.strip() or line.lstrip().startswith("#") for line in source.splitlines()) else None


def _compiles(source: str) -> bool:
    try:
        compile(source, "cell", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _needs_text(source: str) -> bool:
    """A script cannot await at its top level, nor hold a ``from __future__`` that is not at its beginning."""
    if re.search(r"^from __future__", source, re.M):
        return True
    try:
        compile(source, "cell", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    return False


def _showing(source: str) -> str:
    """The value of its last line is shown, as a notebook does."""
    tree = _parsed(source)
    last = tree.body[-1] if tree is not None and tree.body else None
    if (
        not isinstance(last, ast.Expr)
        or last.end_lineno is None
        or last.end_col_offset is None
        or _is_silent(last.value)
    ):
        return source
    lines = [line.encode() for line in source.split("\n")]
    after = lines[last.end_lineno - 1][last.end_col_offset :].decode()
    if after.strip().startswith(";"):
        return source
    end, start = last.end_lineno - 1, last.lineno - 1
    lines[end] = lines[end][: last.end_col_offset] + b")" + lines[end][last.end_col_offset :]
    lines[start] = lines[start][: last.col_offset] + b"show(" + lines[start][last.col_offset :]
    found = b"\n".join(lines).decode()
    return found if _compiles(found) else source


def _is_silent(value: ast.expr) -> bool:
    """Of a call to print and of our own calls nothing is to be shown."""
    if not isinstance(value, ast.Call):
        return isinstance(value, ast.Constant) and value.value is None
    name = value.func.id if isinstance(value.func, ast.Name) else ""
    ours = (
        isinstance(value.func, ast.Attribute)
        and isinstance(value.func.value, ast.Name)
        and value.func.value.id == "cells"
    )
    return ours or name in ("print", "display", "show")


def _literal(source: str) -> str:
    """A Python literal that reads like the text where that is possible."""
    if "'''" not in source and not source.endswith(("'", "\\")) and "\r" not in source and "\0" not in source:
        written = f"r'''\n{source}\n'''"
        if ast.literal_eval(written) == f"\n{source}\n":
            return f"{written}[1:-1]"
    return repr(source)
