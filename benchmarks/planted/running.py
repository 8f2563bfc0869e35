"""Runs cells as a kernel would, in throw-away sandboxes of the image."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from kernel_gateway.replay.compare.model import Cell
from kernel_gateway.sandbox.engine import Engine
from kernel_gateway.sandbox.oneshot import run_once
from kernel_gateway.session.policy import GB, Policy

_POLICY = Policy(memory=3 * GB, processes=64, cpus=2.0, disk=GB)
_SECONDS = 600.0

# IPython itself, each variant in a child and a folder of its own; a fixed hash seed, as in an image's kernels.
_RUNNER = r"""
import base64, json, os, pathlib, sys, tempfile
variants, jinja = json.load(sys.stdin)
# pandas' Styler needs it, and an image may not have it.
with tempfile.NamedTemporaryFile(suffix=".zip", delete=False) as file:
    file.write(base64.b64decode(jinja))
sys.path.append(file.name)
import matplotlib, numpy, pandas
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

def state(folder):
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            found[str(path.relative_to(folder))] = base64.b64encode(data).decode()
    return found

def run(cells):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="workspace-"))
    os.chdir(folder)
    shell = InteractiveShell.instance()
    shell._showtraceback = lambda *_: None
    shell.enable_gui = lambda *_: None
    shell.enable_matplotlib("inline")
    results, before = [], {}
    for source in cells:
        with capture_output() as captured:
            shell.display_trap.hook = lambda value: show(shell, value, captured._outputs)
            result = shell.run_cell(source, store_history=True)
        outputs = [{"output_type": "display_data", "data": encoded(o.data), "metadata": o.metadata or {}} for o in captured.outputs]
        for name, text in (("stdout", captured.stdout), ("stderr", captured.stderr)):
            if text:
                outputs.append({"output_type": "stream", "name": name, "text": text})
        error = result.error_in_exec or result.error_before_exec
        after = state(folder)
        files = {k: v for k, v in after.items() if before.get(k) != v}
        before = after
        results.append({
            "source": source, "outputs": outputs, "exit": "error" if error else "ok",
            "ename": type(error).__name__ if error else "", "evalue": str(error) if error else "", "files": files,
        })
    return results

def show(shell, value, outputs):
    if value is not None and not shell.displayhook.quiet():
        data, metadata = shell.display_formatter.format(value)
        outputs.append({"data": data, "metadata": metadata, "transient": {}, "update": False})

def encoded(data):
    return {k: base64.b64encode(v).decode() if isinstance(v, bytes) else v for k, v in data.items()}

for cells in variants:
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reader)
        with os.fdopen(writer, "w") as pipe:
            json.dump(run(cells), pipe, default=str)
        sys.exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        sys.__stdout__.write(pipe.read() + "\n")
        sys.__stdout__.flush()
    if os.waitpid(pid, 0)[1]:
        sys.exit("a variant failed")
"""
_ENVIRONMENT = {
    "PATH": "/image/python/bin:/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "OMP_NUM_THREADS": "2",
}
_BOOT = f"import os, sys; os.execve(sys.executable, [sys.executable, '-c', {_RUNNER!r}], {_ENVIRONMENT!r})"


async def run_cells(engine: Engine, image: Path, variants: Sequence[Sequence[str]]) -> list[list[Cell]]:
    """What the cells of each variant give, one after another in one sandbox, each variant in a process and folder of its own."""
    answer = await run_once(
        engine,
        image,
        _BOOT,
        json.dumps([variants, _jinja()]).encode(),
        timeout=_SECONDS,
        policy=_POLICY,
        output_limit=GB,
    )
    return [[_cell(c) for c in json.loads(line)] for line in answer.splitlines()]


@cache
def _jinja() -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for package in ("jinja2", "markupsafe"):
            for module in files(package).iterdir():
                if module.name.endswith(".py"):
                    archive.writestr(f"{package}/{module.name}", module.read_text(encoding="utf-8"))
    return base64.b64encode(buffer.getvalue()).decode()


def _cell(value: dict[str, Any]) -> Cell:
    return Cell(**{**value, "files": {k: base64.b64decode(v) for k, v in value["files"].items()}})
