"""nbclient and nbformat: a notebook's cells executed and kept, and the whole notebook written."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbformat import v4
from serving import serve

_stack = contextlib.ExitStack()
_client: list[NotebookClient] = []
_notebooks: dict[str, nbformat.NotebookNode] = {}


def keep() -> dict[str, Any]:
    """A kernel that stays, for ``lines``."""
    client = NotebookClient(v4.new_notebook(), kernel_name="image", timeout=120)
    _stack.enter_context(client.setup_kernel())
    _client.append(client)
    return {}


def lines(source: str) -> dict[str, Any]:
    client, cell = _client[0], v4.new_code_cell(source)
    client.nb.cells = [cell]
    client.reset_execution_trackers()
    began = perf_counter()
    client.execute_cell(cell, 0)
    seconds = perf_counter() - began
    kept = sum(o.text.count("\n") for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")
    return {"seconds": seconds, "lines": kept}


def make(name: str, cells: int, text: str) -> dict[str, Any]:
    """A notebook of so many cells, each of which printed ``text``."""
    output = v4.new_output("stream", name="stdout", text=text)
    _notebooks[name] = v4.new_notebook(cells=[v4.new_code_cell("pass", outputs=[output]) for _ in range(cells)])
    return {}


def write(name: str) -> dict[str, Any]:
    """One more cell, saved as Jupyter saves: the whole notebook."""
    notebook = _notebooks[name]
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        began = perf_counter()
        notebook.cells.append(v4.new_code_cell("pass"))
        nbformat.write(notebook, Path(folder) / "notebook.ipynb")
        seconds = perf_counter() - began
    notebook.cells.pop()
    return {"seconds": seconds}


if __name__ == "__main__":
    with _stack:
        serve({operation.__name__: operation for operation in (keep, lines, make, write)})
