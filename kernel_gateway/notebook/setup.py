"""The source of the cells that set a notebook up: plain text that a notebook carries with it and any Jupyter runs.

Live and on a re-run the kernel executes this same text, so that both behave alike; nothing of Cell Gateway is imported by it. It needs
IPython, Python 3.10, and for their cells bash 4.4 and Node.js 20 on PATH. Each cell may run again without harm, prints nothing and leaves
no name in the notebook's namespace.

`%%bash`: one process a session in a process group of its own. A cell gets an empty stdin and a stdout and stderr of its own: ``exec
>file`` holds until its end. When the shell ends (``exit``, ``set -e``, a kill) the next cell has a new one with its folder, variables,
functions, options and traps; jobs and open files are lost. A status that is not 0 raises CalledProcessError. An interrupt reaches the
children and leaves the shell alive; what ignores it for 3 s is killed with the shell. What a background job prints later comes with the
next bash cell; beyond 1 MB it waits for it. Options after ``%%bash`` (``--out`` …) give IPython's own, separate bash.

`%%node`: one process a session that evaluates like Node's own prompt. An interrupt stops what runs or is awaited; when that takes more
than 3 s (an endless loop after an ``await``) node is killed, and the cell says that its state is gone.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from ..supervisor.runs import Language

_CELLS = "kernel_gateway.notebook.cells"
# Notes to our own checkers, which a reader of the notebook need not see.
_NOTES = re.compile(r"^# pyright:.*\n|  # (?:noqa|fmt|pyright)\b.*$", re.MULTILINE)


@cache
def setup_cell() -> str:
    """Enters ``workspace/`` beside the notebook, where INPUT_DIR and OUTPUT_DIR point; no colours, no paths of the machine in warnings."""
    return _source("setup.py")


@cache
def bash_cell() -> str:
    """Makes ``%%bash`` one lasting process, and adds ``%bash_restart``."""
    return _source("bash.py")


@cache
def node_cell() -> str:
    """Adds ``%%node`` and ``%node_restart``."""
    return _source("node.py").replace("\nnode.js\n", f"\n{_source('node.js')}\n")


@cache
def restart_cell() -> str:
    """The marker of a restart: clears names, bash, node, folder and environment. The magics stay, and so do imported modules."""
    return _source("restart.py")


def needs(source: str) -> tuple[Language, ...]:
    """The languages whose setup cell must have run before this cell, whoever wrote it."""
    first = next((line for line in source.splitlines() if line.strip()), "")
    found = re.match(r"%%?(bash|node)(?:_restart)?(?:\s|$)", first.rstrip())
    return (found[1],) if found else ()  # type: ignore[return-value]


def _source(name: str) -> str:
    return _NOTES.sub("", (files(_CELLS) / name).read_text("utf-8")).rstrip("\n")
