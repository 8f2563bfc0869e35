"""What one session does to its neighbours and to the machine: little while it runs, nothing once it is stopped."""

from __future__ import annotations

import asyncio
import os
import statistics
import time

import pytest

from tests.conftest import LiveSession

from .arena import Arena, status
from .traces import stop, traces_of

# Ten times idle; idle itself is a few milliseconds on a quiet machine, which a busy one does not keep.
FACTOR, FLOOR_SECONDS = 10, 0.1
BOMB_SECONDS = 3
# ruff: noqa: E501
BOMBS = {
    "20 busy threads": "def spin():\n    while True: pass\nfor _ in range(19): threading.Thread(target=spin, daemon=True).start()\nspin()",
    "a fork bomb": "while True:\n    try:\n        if os.fork() == 0:\n            while True: pass\n    except OSError: pass",
    "a memory bomb": "held = []\nwhile True: held.append(bytearray(os.urandom(1 << 20) * 50))",
    "a disk bomb": "n = 0\nwhile True:\n    open(f'f{n}', 'wb').write(bytes(5 << 20)); n += 1",
    "a display of 200 MB": "display({'text/plain': 'x' * (200 << 20)}, raw=True)\nwhile True: display({'text/plain': 'x' * 100_000}, raw=True)",
}


async def median_of_pass(session: LiveSession, seconds: float) -> float:
    """The median time that ``pass`` takes, asked again and again for so long."""
    taken: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        assert (await session.python("pass", timeout=60)).exit == "ok"
        taken.append(time.monotonic() - began)
        await asyncio.sleep(0.02)
    return statistics.median(taken)


@pytest.mark.parametrize("bomb", BOMBS)
async def test_another_session_still_answers_and_nothing_is_left_after_a_stop(arena: Arena, bomb: str) -> None:
    async with arena.shared() as neighbour, arena.own() as hostile:
        idle = await median_of_pass(neighbour, 0.5)
        exploding = asyncio.create_task(hostile.python(BOMBS[bomb], timeout=BOMB_SECONDS))
        busy = await median_of_pass(neighbour, BOMB_SECONDS)
        assert (await exploding).exit != "ok" or bomb.startswith("a display")
        assert busy < FACTOR * max(idle, FLOOR_SECONDS)
        traces = await traces_of(hostile)
        assert status(traces.supervisor, "VmHWM") // 1024 < 150
        await stop(hostile, traces)
        assert traces.left() == []


async def test_after_a_stop_nothing_of_the_session_is_left(arena: Arena) -> None:
    async with arena.own() as session:
        await session.python(
            "subprocess.Popen(['setsid', 'sleep', '600']); open('/dev/shm/x', 'wb').write(bytes(1000))"
        )
        traces = await traces_of(session)
        seen = {line.split()[0] for line in traces.left()}
        # An ordinary user's processes are in no group of the session's own.
        assert seen >= {"process", "control", *(["cgroup"] if os.getuid() == 0 else [])}
        assert ("container" in seen) == (arena.engine != "bubblewrap")
        await stop(session, traces)
        assert traces.left() == []
