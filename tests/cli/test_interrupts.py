"""Ctrl-C, on a real terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from .conftest import COMMAND, Cli

pytestmark = pytest.mark.usefixtures("image")
Spawn = Callable[..., "pexpect.spawn[str]"]


@pytest.fixture
def terminal(cli: Cli, tmp_path: Path) -> Iterator[Spawn]:
    """The command on a terminal of its own."""
    children: list[pexpect.spawn[str]] = []

    def spawn(*arguments: str) -> pexpect.spawn[str]:
        environment = {**os.environ, "TERM": "xterm-256color"}
        child = pexpect.spawn(
            sys.executable, [*COMMAND[1:], *arguments], env=environment, encoding="utf-8", timeout=60, cwd=str(tmp_path)
        )
        children.append(child)
        return child

    yield spawn
    for child in children:
        child.close(force=True)


def test_ctrl_c_interrupts_the_cell_and_the_session_goes_on(cli: Cli, terminal: Spawn, tmp_path: Path) -> None:
    (tmp_path / "loop.py").write_text("x = 1\nprint('begun', flush=True)\nwhile True: pass")
    child = terminal("run", "loop.py", "--name", "loop")
    child.expect("begun")
    child.sendintr()
    child.expect("KeyboardInterrupt")
    child.expect("interrupted")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert cli("run", "-", "--session", "loop", stdin="x").out == "1\n"


def test_ctrl_c_twice_leaves_and_the_session_goes_on(cli: Cli, terminal: Spawn, tmp_path: Path) -> None:
    source = """
import signal, pathlib
signal.signal(signal.SIGINT, signal.SIG_IGN)
print('begun', flush=True)
while not pathlib.Path('stop').exists(): pass
print('ended by itself')
"""
    (tmp_path / "loop.py").write_text(source)
    child = terminal("run", "loop.py", "--name", "loop")
    child.expect("begun")
    child.sendintr()
    child.expect("Once more")
    child.sendintr()
    child.expect("goes on without you")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert "loop" in cli("sessions", "list").out


def test_ctrl_c_before_the_cell_is_quiet(terminal: Spawn) -> None:
    child = terminal("run", "-")
    child.sendintr()
    child.expect(pexpect.EOF)
    assert "Traceback" not in (child.before or "")
