"""The watch over a session's disk: who writes over the limit is stopped and told why, who deletes is not."""

from __future__ import annotations

import asyncio

from kernel_gateway.session.usage import BYTES_PER_FILE, Usage
from kernel_gateway.supervisor.disk import Look, full_notice, pause, verdict
from tests.conftest import NewSession

MEGABYTE = 1024**2
LIMIT = 100 * MEGABYTE
SMALL = {"limits.disk": 30 * MEGABYTE}


def used(megabytes: int, files: int = 0) -> Usage:
    return Usage(megabytes * MEGABYTE, files)


def test_below_the_limit_all_is_fine() -> None:
    assert verdict(Look(used(99), used(0), LIMIT, is_running=True)) == "fine"


def test_a_cell_that_grows_over_the_limit_is_interrupted() -> None:
    assert verdict(Look(used(101), used(50), LIMIT, is_running=True)) == "interrupt"


def test_a_cell_on_a_full_disk_may_delete() -> None:
    assert verdict(Look(used(120), used(130), LIMIT, is_running=True)) == "full"


def test_without_a_cell_there_is_a_margin_and_then_an_end() -> None:
    assert verdict(Look(used(105), used(50), LIMIT, is_running=False)) == "full"
    assert verdict(Look(used(111), used(50), LIMIT, is_running=False)) == "kill"


def test_what_was_let_have_is_not_held_against_the_next_kernel() -> None:
    assert verdict(Look(used(150), used(150), LIMIT, is_running=False)) == "full"


def test_many_empty_files_are_over_the_limit_too() -> None:
    look = Look(used(1, files=LIMIT // BYTES_PER_FILE + 1), used(0), LIMIT, is_running=True)
    assert verdict(look) == "interrupt"
    assert "files" in full_notice(look.now, LIMIT)


def test_looking_takes_a_twentieth_of_the_time_at_most() -> None:
    assert pause(0.001, is_running=True) == 1.0
    assert pause(3.0, is_running=True) == 60.0


FILL = """
import time
for n in range(60):
    with open(f'part{n}', 'wb') as file:
        file.write(bytes(1024**2))
    time.sleep(0.1)
"""


async def test_a_cell_that_fills_the_disk_is_interrupted_and_says_why(new_session: NewSession) -> None:
    session = await new_session(settings=SMALL)
    result = await session.python(FILL)
    assert result.exit == "interrupted"
    assert result.notice and "bytes of disk; it may use 31,457,280" in result.notice
    cleaned = await session.python("import os\nfor name in os.listdir():\n    os.remove(name)\nprint('clean')")
    assert (cleaned.exit, cleaned.stdout) == ("ok", "clean\n")
    assert session.folder.read()["isolation"]["disk"] == "watched"


async def test_a_program_that_fills_the_disk_without_a_cell_is_killed(new_session: NewSession) -> None:
    session = await new_session(settings=SMALL)
    await session.python(f"import threading\nthreading.Thread(target=exec, args=({FILL!r}, {{}})).start()")
    while (await session.client.hello())["state"] != "dead":
        await asyncio.sleep(0.1)
    result = await session.python("1")
    assert result.notice and "disk limit" in result.notice


async def test_one_file_over_the_limit_is_refused_by_the_machine(new_session: NewSession) -> None:
    session = await new_session(settings=SMALL)
    result = await session.python("open('big', 'wb').truncate(4 << 40)")
    assert (result.exit, result.ename) == ("error", "OSError")
