"""Ctrl-C during verify and rerun: a clear word, nothing left behind, and what ran is usable."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kernel_gateway.session.folder import SessionStore
from tests.command import COMMAND
from tests.conftest import stop_session

from .conftest import code, write_notebook

WAITING = "import time\nprint('waiting', flush=True)\nopen('waiting', 'w').close()\ntime.sleep(600)"


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return write_notebook(tmp_path / "long.ipynb", code("print('one')"), code(WAITING), code("print('three')"))


@pytest.fixture
def start(data: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str | Path) -> subprocess.Popen[str]:
        command = [*COMMAND, *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def await_the_long_cell(root: Path, process: subprocess.Popen[str]) -> None:
    while not list(root.glob("*/workspace/waiting")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


def supervisors(root: Path) -> list[str]:
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "kernel_gateway.supervisor" in line and str(root) in line:
            found.append(line)
    return found


@pytest.mark.parametrize("times", [1, 3])
def test_verify_is_left_with_a_word_and_leaves_nothing(
    start: Any, notebook: Path, data: Path, image: object, times: int
) -> None:
    process = start("verify", notebook)
    await_the_long_cell(data / "replays", process)
    for _ in range(times):
        os.kill(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted. The sandbox is being removed." in said
    assert said.rstrip().endswith("Nothing was compared.")
    assert list((data / "replays").iterdir()) == []
    assert supervisors(data) == []


async def test_an_interrupted_rerun_is_a_notebook_of_what_ran(
    start: Any, notebook: Path, data: Path, image: object
) -> None:
    process = start("rerun", notebook)
    await_the_long_cell(data / "sessions", process)
    os.kill(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    folder = SessionStore(data).find("last")
    try:
        assert process.returncode == 130, said
        assert "It was interrupted; what ran until then is in the notebook." in said
        written = json.loads(folder.notebook.read_text())
        sources = ["".join(c["source"]) for c in written["cells"]]
        assert any("print('one')" in s for s in sources)
        assert not any("print('three')" in s for s in sources)
    finally:
        await stop_session(folder)
    assert supervisors(data) == []


async def test_leaving_a_rerun_says_where_it_goes_on(start: Any, notebook: Path, data: Path, image: object) -> None:
    process = start("rerun", notebook)
    await_the_long_cell(data / "sessions", process)
    folder = SessionStore(data).find("last")
    try:
        # Both at once: the cell has no time to end.
        os.kill(process.pid, signal.SIGSTOP)
        os.kill(process.pid, signal.SIGINT)
        os.kill(process.pid, signal.SIGCONT)
        os.kill(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert folder.id in said
    finally:
        await stop_session(folder)
