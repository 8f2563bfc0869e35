"""What one session does to its neighbours and to the machine: little while it runs, nothing once it is stopped."""

from __future__ import annotations

import asyncio
import os
import select
import statistics
import time
from pathlib import Path

import pytest

from kernel_gateway.session.folder import runtime_folder
from tests.conftest import LiveSession

from .arena import Arena, status

# Ten times idle; idle itself is a few milliseconds on a quiet machine, which a busy one does not keep.
FACTOR, FLOOR_SECONDS = 10, 0.1
# ruff: noqa: E501
BOMBS = {
    "20 busy threads": "def spin():\n    while True: pass\nfor _ in range(19): threading.Thread(target=spin, daemon=True).start()\nspin()",
    "a fork bomb": "while True:\n    try:\n        if os.fork() == 0:\n            while True: pass\n    except OSError: pass",
    "a memory bomb": "held = []\nwhile True: held.append(bytearray(os.urandom(1 << 20) * 50))",
    "a disk bomb": "n = 0\nwhile True:\n    open(f'f{n}', 'wb').write(bytes(5 << 20)); n += 1",
    "a display of 200 MB": "display({'text/plain': 'x' * (200 << 20)}, raw=True)\nwhile True: display({'text/plain': 'x' * 100_000}, raw=True)",
}


async def median_of_pass(session: LiveSession, seconds: float) -> float:
    """The median time that ``pass`` takes, asked one after another for so long."""
    taken: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        assert (await session.python("pass", timeout=60)).exit == "ok"
        taken.append(time.monotonic() - began)
    return statistics.median(taken)


@pytest.mark.parametrize("bomb", BOMBS)
async def test_another_session_still_answers(arena: Arena, bomb: str) -> None:
    async with arena.own() as hostile, arena.own() as neighbour:
        idle = await median_of_pass(neighbour, 1.0)
        exploding = asyncio.create_task(hostile.python(BOMBS[bomb], timeout=4))
        busy = await median_of_pass(neighbour, 4.0)
        assert (await exploding).exit != "ok" or bomb.startswith("a display")
        assert busy < FACTOR * max(idle, FLOOR_SECONDS)
        pid = int((await hostile.client.hello())["pid"])
        assert status(pid, "VmHWM") // 1024 < 150


async def test_after_stop_nothing_of_the_session_is_left(arena: Arena) -> None:
    async with arena.own() as session:
        await session.python(
            "subprocess.Popen(['setsid', 'sleep', '600']); open('/dev/shm/x', 'wb').write(bytes(1000))"
        )
        uid, runtime = session.folder.read()["uid"], runtime_folder(session.folder)
        supervisor = int((await session.client.hello())["pid"])
        groups = [g for g in Path("/sys/fs/cgroup").rglob("cell-gateway-*") if uid is not None and uid in owners_in(g)]
        ended = os.pidfd_open(supervisor)
        await session.client.stop()
        # Its lock, for which a stop waits, is let go a moment before the process is over.
        assert select.select([ended], [], [], 30)[0] == [ended]
        os.close(ended)
        if os.getuid() == 0:
            assert [p.name for p in Path("/proc").glob("[0-9]*") if owner_of(p) == uid] == []
        assert not (runtime / "control").exists()
        assert not any(str(session.folder.path) in line for line in Path("/proc/self/mounts").read_text().splitlines())
        assert not any(group.exists() for group in groups)
        loops = [f.read_text() for f in Path("/sys/block").glob("loop*/loop/backing_file")]
        assert not any(session.folder.id in backing for backing in loops)
        assert not [p for p in runtime.parent.glob("k*") if owner_of(p) == uid] or os.getuid() != 0


def owner_of(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:
        return None


def owners_in(group: Path) -> set[int | None]:
    try:
        return {owner_of(Path(f"/proc/{pid}")) for pid in (group / "cgroup.procs").read_text().split()}
    except OSError:
        return set()
