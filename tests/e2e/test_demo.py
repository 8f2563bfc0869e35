"""`cell-gateway demo`: no key, no network, and a notebook to keep."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from kernel_gateway.session.folder import SessionFolder

from .person import COMMAND, Finished, person
from .rerun import Jupyter, copy_of, differences, outputs, pngs

# Runs a command where there is no network but loopback; as an ordinary user with all proxies pointing nowhere instead.
_NO_NETWORK = """\
import ctypes, fcntl, os, socket, struct, sys
if ctypes.CDLL(None, use_errno=True).unshare(0x40000000) == 0:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 1))
os.execv(sys.argv[1], sys.argv[1:])
"""
_NOWHERE = "http://127.0.0.1:9"


@dataclass
class Demo:
    done: Finished
    out: Path
    folder: SessionFolder

    @property
    def notebook(self) -> dict[str, Any]:
        return json.loads(self.out.read_bytes())

    def cells_of(self, magic: str) -> list[dict[str, Any]]:
        return [c for c in self.notebook["cells"] if "".join(c["source"]).startswith(magic)]


@pytest.fixture(scope="session")
def demo(image: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with person(tmp_path_factory.mktemp("demo")) as someone:
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), _NOWHERE)
        out = someone.home / "kept.ipynb"
        command = [sys.executable, "-c", _NO_NETWORK, *COMMAND, "demo", "--out", str(out)]
        ran = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            env=someone.environment(**proxies),
            cwd=someone.home,
            timeout=110,
        )
        yield Demo(Finished(ran.returncode, ran.stdout, ran.stderr), out, someone.folder())


def test_it_succeeds_without_key_and_network(demo: Demo) -> None:
    assert demo.done.code == 0, demo.done.err
    assert not [name for name in os.environ if name.startswith("ANTHROPIC_") and name in demo.done.err]


def test_it_says_that_the_model_is_scripted_in_the_terminal_and_in_the_notebook(demo: Demo) -> None:
    assert "No model is asked" in demo.done.err
    assert "scripted" in demo.done.out
    assert "No model is asked" in demo.out.read_text()


def test_it_says_where_the_notebook_is_and_how_to_open_and_run_it(demo: Demo) -> None:
    for line in (f"Notebook: {demo.out}", f"Open it:  jupyter lab {demo.out}", f"Run it:   jupyter execute {demo.out}"):
        assert line in demo.done.err


def test_the_notebook_validates(demo: Demo) -> None:
    nbformat.validate(nbformat.read(demo.out, as_version=4), relax_add_props=False)


def test_there_is_a_picture_a_spreadsheet_a_bash_cell_and_a_node_cell(demo: Demo) -> None:
    assert pngs(demo.notebook)
    (sheet,) = demo.folder.workspace.glob("*.xlsx")
    assert {"xl/workbook.xml", "xl/worksheets/sheet1.xml"} <= set(zipfile.ZipFile(sheet).namelist())
    assert demo.cells_of("%%bash")
    assert demo.cells_of("%%node")


def test_the_notebook_of_the_session_runs_elsewhere_to_the_same_outputs(
    demo: Demo, jupyter: Jupyter, tmp_path: Path
) -> None:
    copy = copy_of(demo.folder.path, tmp_path / "copy")
    again = jupyter.execute(copy)
    assert (
        differences(outputs(demo.notebook, Path("/workspace")), outputs(again, tmp_path / "copy" / "workspace")) == []
    )
    assert pngs(again) == pngs(demo.notebook)


def test_the_notebook_alone_runs_in_an_empty_folder(demo: Demo, jupyter: Jupyter, tmp_path: Path) -> None:
    alone = tmp_path / "alone" / "kept.ipynb"
    alone.parent.mkdir()
    alone.write_bytes(demo.out.read_bytes())
    again = jupyter.execute(alone)
    assert differences(outputs(demo.notebook, Path("/workspace")), outputs(again, alone.parent)) == []
