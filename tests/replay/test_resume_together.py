"""Front ends that meet while a session is brought back, and a person who breaks it off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from kernel_gateway.journal import read
from kernel_gateway.session.folder import SessionFolder
from tests.command import COMMAND

from .conftest import Cli

pytestmark = pytest.mark.usefixtures("image")


# Waits for a file, when it runs the second time.
SLOW_THE_SECOND_TIME = """\
import pathlib, time
second = pathlib.Path.home() / 'second'
while second.exists() and not (second.parent / 'go').exists(): time.sleep(0.05)
second.touch()
x = 20
open('log', 'a').write('once')"""


def test_of_two_front_ends_one_replays_and_the_other_waits_for_it(cli: Cli, data: Path, tmp_path: Path) -> None:
    cli("run", "-", "--name", "amber", stdin=SLOW_THE_SECOND_TIME)
    cli("sessions", "stop", "amber")
    folder = SessionFolder(data / "sessions" / "amber")
    (tmp_path / "next.py").write_text("x += 1\nprint('is', x > 20, open('log').read())")
    command, pipe = [*COMMAND, "run", str(tmp_path / "next.py"), "-s", "amber"], subprocess.PIPE
    first = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    assert first.stderr is not None
    assert "Bringing the variables" in first.stderr.readline()
    second = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    assert second.stderr is not None
    assert "waiting for it" in second.stderr.readline()
    (folder.layer / "go").touch()
    assert [child.communicate(timeout=100)[0] for child in (first, second)] == ["is True once\n"] * 2
    assert cli("run", "-", "-s", "amber", stdin="x").out == "22\n"
    records = read(folder.journal).records
    assert [r["cause"] for r in records if r["kind"] == "kernel"] == ["start", "resume"]
    assert len([r for r in records if r["kind"] == "replayed"]) == 1


def test_ctrl_c_in_a_replay_leaves_a_session_that_goes_on_with_its_files(cli: Cli, data: Path, tmp_path: Path) -> None:
    endless_the_second_time = """\
import pathlib
open('a.txt', 'w').write('mine')
is_second = (pathlib.Path.home() / 'second').exists()
(pathlib.Path.home() / 'second').touch()
while is_second: pass"""
    cli("run", "-", "--name", "amber", stdin=endless_the_second_time)
    cli("sessions", "stop", "amber")
    environment = {**os.environ, "TERM": "xterm-256color"}
    resume = ["sessions", "resume", "amber"]
    child = pexpect.spawn(
        sys.executable, [*COMMAND[1:], *resume], env=environment, encoding="utf-8", timeout=60, cwd=str(tmp_path)
    )
    child.expect(r"\[2/2\]")
    child.sendintr()
    child.expect("stopped again, with all its files")
    child.expect("resume amber --replay files")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    folder = SessionFolder(data / "sessions" / "amber")
    assert (folder.workspace / "a.txt").read_text() == "mine"
    assert not (folder.internals / "aside").exists()
    assert cli("sessions", "resume", "amber", "--replay", "files").code == 0
    assert cli("run", "-", "-s", "amber", stdin="print(open('a.txt').read())").out == "mine\n"
