"""A notebook in plain Jupyter: a fresh virtual environment, no code of ours, and its outputs held against the recorded ones."""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.notebook.plain_kernel import node_folder

LOCK = Path(__file__).parents[2] / "kernel_gateway" / "image" / "default.lock"
UV = Path(sys.executable).parent / "uv"
RERUN = "rerun"

Shown = dict[str, Any]


@dataclass
class Jupyter:
    """A virtual environment with ipykernel, nbclient and some packages, in the image's versions."""

    folder: Path

    @classmethod
    def install(cls, folder: Path, packages: Sequence[str]) -> Jupyter:
        uv = str(UV if UV.exists() else shutil.which("uv"))
        quiet = [uv, "--quiet", "--no-progress", "--no-config"]
        subprocess.run([*quiet, "venv", "--python", sys.executable, folder], check=True, timeout=60)
        python = folder / "bin" / "python"
        install = [*quiet, "pip", "install", "--python", python, "--constraints", LOCK, "ipykernel", "nbclient"]
        subprocess.run([*install, *packages], check=True, timeout=100)
        return cls(folder)

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of a person's Jupyter and nothing of ours."""
        folders = [str(self.folder / "bin"), node_folder() or "", *os.defpath.split(os.pathsep)]
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {"PATH": os.pathsep.join(f for f in folders if f), "HOME": str(home), "LANG": "C.UTF-8"}

    def can_import(self, module: str) -> bool:
        command = [self.folder / "bin" / "python", "-c", f"import {module}"]
        done = subprocess.run(command, check=False, env=self.environment, capture_output=True, cwd="/", timeout=60)
        return done.returncode == 0

    def execute(self, notebook: Path) -> dict[str, Any]:
        """``jupyter execute``, into a file beside the notebook; fails when a cell fails that did not fail before."""
        command = [self.folder / "bin" / "jupyter", "execute", notebook, f"--output={RERUN}"]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=self.environment, cwd="/", timeout=100
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(notebook.with_name(f"{RERUN}.ipynb").read_bytes())


def outputs(notebook: dict[str, Any], folder: Path) -> dict[str, Shown]:
    """Of each code cell what a reader sees. ``folder`` is what the cells had as their workspace: its name is no output."""
    return {c["id"]: _shown(c["outputs"], str(folder)) for c in notebook["cells"] if c["cell_type"] == "code"}


def _shown(items: list[dict[str, Any]], folder: str) -> Shown:
    found: Shown = {"stdout": "", "stderr": "", "error": None, "data": []}
    for item in items:
        if item["output_type"] == "stream":
            found[item["name"]] += "".join(item["text"]).replace(folder, "WORKSPACE")
        elif item["output_type"] == "error":
            found["error"] = (item["ename"], item["evalue"].replace(folder, "WORKSPACE"))
        else:
            found["data"].append({k: _value(k, v, folder) for k, v in item["data"].items()})
    return found


def _value(mime: str, value: Any, folder: str) -> Any:
    text = "".join(value) if isinstance(value, list) else value
    return text.replace(folder, "WORKSPACE") if mime.startswith("text/") else text


def differences(recorded: dict[str, Shown], again: dict[str, Shown]) -> list[str]:
    """In words, empty when a reader would see the same. Pictures may differ in bytes, not in size."""
    found = [f"cells: {sorted(recorded.keys() ^ again.keys())}"] if recorded.keys() != again.keys() else []
    for cell in recorded.keys() & again.keys():
        for part in ("stdout", "stderr", "error"):
            if recorded[cell][part] != again[cell][part]:
                found.append(f"{cell} {part}: {recorded[cell][part]!r} != {again[cell][part]!r}")
        before, after = ([_comparable(d) for d in shown[cell]["data"]] for shown in (recorded, again))
        if before != after:
            found.append(f"{cell} data: {before} != {after}")
    return found


def _comparable(data: dict[str, Any]) -> dict[str, Any]:
    return {k: _png_size(v) if k == "image/png" else v for k, v in data.items()}


def _png_size(encoded: str) -> tuple[int, int]:
    return struct.unpack(">II", base64.b64decode(encoded)[16:24])


def pngs(notebook: dict[str, Any]) -> list[bytes]:
    """The pictures that code cells show, in order."""
    items = [o for c in notebook["cells"] if c["cell_type"] == "code" for o in c["outputs"]]
    return [base64.b64decode("".join(o["data"]["image/png"])) for o in items if "image/png" in o.get("data", {})]


def copy_of(session: Path, place: Path) -> Path:
    """What a person takes along: notebook and workspace, without the session's internals."""
    shutil.copytree(session, place, ignore=lambda folder, names: [".session"] if folder == str(session) else [])
    return place / "notebook.ipynb"
