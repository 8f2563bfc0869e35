"""Sessions that nobody uses are frozen, then stopped; whoever comes back finds them as they were."""

from __future__ import annotations

import asyncio

import pytest

from kernel_gateway.errors import SupervisorUnavailable
from kernel_gateway.session.lifetime import standing_of
from kernel_gateway.supervisor.client import connect
from kernel_gateway.supervisor.idle import Glance, check_seconds, decide, idle_since
from tests.conftest import LiveSession, NewSession

BEFORE = Glance(100.0, 7, False, 3.0)


def test_without_anything_new_a_session_is_idle_since_it_was() -> None:
    assert idle_since(BEFORE, Glance(160.0, 7, False, 3.01), 50.0) == 50.0


@pytest.mark.parametrize(
    "later",
    [
        Glance(160.0, 7, True, 3.0),
        Glance(160.0, 8, False, 3.0),
        Glance(160.0, 7, False, 4.0),
    ],
    ids=["a cell runs", "something was recorded", "a background process computes"],
)
def test_whatever_happens_ends_idleness(later: Glance) -> None:
    assert idle_since(BEFORE, later, 50.0) == 160.0


def test_a_session_is_frozen_first_and_stopped_later() -> None:
    assert decide(1799, 1800, 86400) == "run"
    assert decide(1800, 1800, 86400) == "freeze"
    assert decide(86400, 1800, 86400) == "stop"


def test_zero_means_never() -> None:
    assert decide(10**9, 0, 0) == "run"
    assert check_seconds(0, 0) is None
    assert decide(10**9, 1800, 0) == "freeze"


async def until_state(session: LiveSession, wanted: str) -> None:
    while (await session.client.hello())["state"] != wanted:
        await asyncio.sleep(0.05)


async def test_an_idle_session_is_frozen_and_goes_on_with_the_next_cell(new_session: NewSession) -> None:
    session = await new_session(settings={"idle.freeze": 1})
    await session.python("x = 41")
    await until_state(session, "frozen")
    assert (await standing_of(session.folder)).state == "frozen"
    result = await session.python("print(x + 1)")
    assert result.stdout == "42\n"
    assert (await session.client.hello())["state"] == "idle"


async def test_a_frozen_session_takes_no_processor_time(session: LiveSession) -> None:
    await session.python("import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin).start()")
    assert await session.client.freeze()
    before = (await session.client.stats())["sandbox"]["cpu_milliseconds"]
    await asyncio.sleep(0.5)
    assert (await session.client.stats())["sandbox"]["cpu_milliseconds"] == before


async def test_a_busy_background_job_is_not_frozen_and_a_waiting_one_is(new_session: NewSession) -> None:
    session = await new_session(settings={"idle.freeze": 1})
    await session.bash("(while :; do :; done) >/dev/null 2>&1 &\necho $! > pid")
    for _ in range(30):
        assert (await session.client.hello())["state"] != "frozen"
        await asyncio.sleep(0.1)
    await session.bash("kill $(cat pid); sleep 1000 &")
    await until_state(session, "frozen")
    assert (await session.bash("jobs -r | grep -c sleep")).stdout == "1\n"


async def test_a_running_cell_is_not_frozen(session: LiveSession) -> None:
    running = asyncio.create_task(session.python("import time; time.sleep(2); print('done')"))
    await until_state(session, "busy")
    assert not await session.client.freeze()
    assert (await running).stdout == "done\n"


async def test_a_frozen_session_can_be_stopped_and_its_kernel_ends(session: LiveSession) -> None:
    await session.python("1")
    assert await session.client.freeze()
    await session.client.stop()
    assert (await standing_of(session.folder)).state == "stopped"


async def test_a_session_idle_for_long_is_stopped(new_session: NewSession) -> None:
    session = await new_session(settings={"idle.freeze": 1, "idle.stop": 2})
    await session.python("1")
    while (await standing_of(session.folder)).state != "stopped":
        await asyncio.sleep(0.1)
    with pytest.raises(SupervisorUnavailable):
        async with connect(session.folder, start=False):
            pass
