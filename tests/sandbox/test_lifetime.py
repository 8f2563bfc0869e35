"""A sandbox ends with the process that started it, at whatever moment that is killed."""

from __future__ import annotations

import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Session, children_named

_STARTER = """
import asyncio, sys
from pathlib import Path
from kernel_gateway.sandbox.bubblewrap import BubblewrapEngine
from kernel_gateway.sandbox.engine import SandboxSpec
from kernel_gateway.session.policy import Policy

folder, uid, count, token = Path(sys.argv[1]), int(sys.argv[2]) or None, int(sys.argv[3]), sys.argv[4]
places = [folder / name for name in ("workspace", "outputs", "layer", "sockets")]
# A child that ignores what it can, in a session of its own.
command = ["/bin/sh", "-c", "trap '' HUP INT TERM; setsid sleep " + token + " & echo $$ > begun; sleep " + token]

async def main():
    engine = BubblewrapEngine()
    engine.check()
    print("checked", flush=True)
    started = []
    for _ in range(count):
        started.append(await engine.start(SandboxSpec(command, {}, Path(sys.base_prefix), *places, Policy(memory=2**30), uid)))
        print(started[-1]._processes.outer, started[-1]._processes.init, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


def starter(session: Session, token: str, count: int = 1) -> subprocess.Popen[str]:
    arguments = [str(session.folder), str(session.uid or 0), str(count), token]
    return subprocess.Popen([sys.executable, "-c", _STARTER, *arguments], stdout=subprocess.PIPE, text=True)


def running(token: str) -> list[int]:
    """Processes of the sandboxes, bwrap's own too: ``token`` is in all their command lines. Zombies have none."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if token.encode() in line and line.startswith((b"bwrap", b"sleep", b"/bin/sh", b"sh")):
            found.append(int(path.parent.name))
    return found


def reap_adopted() -> None:
    """Wait for what the starter left: where a sandbox was started in this process before, orphans come to us and not to init."""
    for pid in children_named("bwrap"):
        os.waitpid(pid, 0)


@pytest.fixture
def token() -> str:
    return f"1000.{secrets.randbelow(10**9):09}"


def test_kill_9_of_the_starter_ends_everything_inside(session: Session, token: str) -> None:
    with starter(session, token) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "checked\n"
        outer, init = map(int, process.stdout.readline().split())
        fds = [os.pidfd_open(outer), os.pidfd_open(init)]
        while not (session.workspace / "begun").exists():
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    for fd in fds:
        assert select.select([fd], [], [], 60)[0]
        os.close(fd)
    assert running(token) == []
    reap_adopted()


def test_kill_9_in_the_middle_of_a_start_leaves_nothing_running(session: Session, token: str) -> None:
    for step in range(12):
        with starter(session, token, count=3) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "checked\n"
            # Spread over the time that a few starts take.
            time.sleep(step * 0.004)
            process.send_signal(signal.SIGKILL)
    # Ends at all, or the test never does.
    while running(token) or children_named("bwrap"):
        reap_adopted()
        time.sleep(0.005)


async def test_sessions_at_once_do_not_end_each_other(make_session: Callable[..., Session]) -> None:
    one, other = make_session("one"), make_session("other")
    first, second = await one.start("/bin/sleep", "1000"), await other.start("/bin/sleep", "1000")
    await first.stop()
    assert (await second.stats())["processes"] == 1
    await second.stop()
