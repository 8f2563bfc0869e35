"""Runs as front ends see them: state, errors, deadlines, deaths, restarts."""

from __future__ import annotations

import asyncio

import pytest

from kernel_gateway.errors import SupervisorUnavailable
from kernel_gateway.journal import read
from kernel_gateway.notebook.setup import restart_cell
from kernel_gateway.supervisor.client import connect
from tests.conftest import LiveSession, NewSession


async def test_variables_live_from_one_cell_to_the_next(session: LiveSession) -> None:
    await session.python("x = 41")
    assert (await session.python("print(x + 1)")).stdout == "42\n"


async def test_a_value_comes_back_as_a_rich_output(session: LiveSession) -> None:
    result = await session.python("1 + 1")
    assert result.outputs[0]["output_type"] == "execute_result"
    assert result.outputs[0]["data"]["text/plain"] == "2"


async def test_a_picture_comes_back_as_png(session: LiveSession) -> None:
    result = await session.python("import matplotlib.pyplot as plt\nplt.plot([1, 3, 2]);")
    assert [o["output_type"] for o in result.outputs if "image/png" in o.get("data", {})] == ["display_data"]
    assert result.stderr == ""


async def test_a_cell_that_fails_is_a_result(session: LiveSession) -> None:
    result = await session.python("1 / 0")
    assert (result.exit, result.ename) == ("error", "ZeroDivisionError")
    assert (await session.python("print('on')")).exit == "ok"


async def test_an_endless_loop_ends_at_its_deadline_and_state_lives(session: LiveSession) -> None:
    await session.python("x = 5")
    assert (await session.python("while True: pass", timeout=1)).exit == "timeout"
    assert (await session.python("print(x)")).stdout == "5\n"


async def test_a_loop_that_ignores_interrupts_is_killed_and_the_names_it_took_are_told(session: LiveSession) -> None:
    await session.python("answer = 42")
    stubborn = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    result = await session.python(stubborn, timeout=1)
    assert result.exit == "timeout"
    assert result.notice and "Names lost: answer" in result.notice
    assert (await session.python("print('fresh')")).stdout == "fresh\n"


async def test_exit_of_the_kernel_is_a_death_with_cause_and_names(session: LiveSession) -> None:
    await session.python("answer = 42")
    result = await session.python("print('before', flush=True)\nimport os, time; time.sleep(0.3); os._exit(7)")
    assert result.exit == "died"
    # The kernel's own sender needs a moment: what os._exit takes with it has never left the kernel.
    assert result.stdout == "before\n"
    assert result.notice and "kernel exited" in result.notice and "answer" in result.notice
    assert (await session.python("answer")).ename == "NameError"


async def test_a_death_between_two_cells_is_told_with_the_next_one(session: LiveSession) -> None:
    pid = (await session.python("import os, threading; threading.Timer(0.3, os._exit, [1]).start()")).exit
    assert pid == "ok"
    while (await session.client.hello())["state"] != "dead":
        await asyncio.sleep(0.05)
    result = await session.python("print('next')")
    assert result.stdout == "next\n"
    assert result.notice and "The kernel died" in result.notice


async def test_a_segmentation_fault_is_a_crash(session: LiveSession) -> None:
    result = await session.python("import ctypes; ctypes.string_at(0)")
    assert result.exit == "died"
    assert result.notice and "crash" in result.notice


async def test_after_a_death_the_journal_has_a_restart_marker_before_the_next_cell(session: LiveSession) -> None:
    await session.python("import os; os._exit(1)")
    await session.python("print('next')")
    starts = [r for r in read(session.folder.journal).records if r["kind"] == "start" and not r.get("hidden")]
    assert [r["tool"] for r in starts][-2:] == ["restart_kernel", "python"]


async def test_a_restart_clears_variables_bash_and_node(session: LiveSession) -> None:
    await session.python("x = 1")
    await session.bash("y=2; mkdir -p d; cd d")
    await session.client.restart(session.request(restart_cell(), tool="restart_kernel"))
    assert (await session.python("x")).ename == "NameError"
    assert (await session.bash("echo [$y]; basename $PWD")).stdout == "[]\nworkspace\n"
    assert (await session.client.hello())["generation"] == 2


async def test_an_interrupt_hits_only_the_run_it_names(session: LiveSession) -> None:
    running = asyncio.create_task(session.python("import time; time.sleep(60)", run="long"))
    queued = asyncio.create_task(session.python("print('next')", run="next"))
    while (await session.client.hello())["running"] != "long":
        await asyncio.sleep(0.02)
    assert not await session.client.interrupt("no such run")
    assert await session.client.interrupt("long")
    assert (await running).exit == "interrupted"
    assert (await queued).stdout == "next\n"


async def test_a_queued_run_that_is_interrupted_never_starts(session: LiveSession) -> None:
    running = asyncio.create_task(session.python("import time; time.sleep(1)", run="long"))
    queued = asyncio.create_task(session.python("print('never')", run="queued"))
    while (await session.client.hello())["running"] != "long":
        await asyncio.sleep(0.02)
    assert await session.client.interrupt("queued")
    assert (await running).exit == "ok"
    result = await queued
    assert (result.exit, result.stdout) == ("aborted", "")


async def test_a_run_executes_once_however_often_it_is_asked(session: LiveSession) -> None:
    await session.python("n = 0")
    first, again = await asyncio.gather(
        session.python("n += 1; print(n)", run="same"), session.python("n += 1; print(n)", run="same")
    )
    later = await session.python("n += 1; print(n)", run="same")
    assert [first.stdout, again.stdout, later.stdout] == ["1\n"] * 3


async def test_two_front_ends_that_start_one_session_at_once_get_one_supervisor(new_session: NewSession) -> None:
    session = await new_session()
    await session.client.stop()

    async def pid() -> int:
        async with connect(session.folder) as client:
            return int((await client.hello())["pid"])

    assert len(set(await asyncio.gather(*(pid() for _ in range(5))))) == 1


async def test_a_stopped_session_comes_back_with_its_files_and_says_what_is_lost(new_session: NewSession) -> None:
    session = await new_session()
    await session.python("x = 1; open('kept.txt', 'w').write('kept')")
    await session.client.stop()
    async with connect(session.folder) as client:
        result = await client.run(session.request("print(open('kept.txt').read())"))
    assert result.stdout == "kept\n"
    assert result.notice and "Names lost: x" in result.notice


async def test_a_queued_cell_behind_a_long_one_waits_for_its_turn(session: LiveSession) -> None:
    order = await asyncio.gather(*(session.python(f"print({i})") for i in range(10)))
    assert [r.stdout for r in order] == [f"{i}\n" for i in range(10)]
    counts = [r.execution_count for r in order if r.execution_count is not None]
    assert counts == sorted(counts)


@pytest.mark.parametrize(
    "fields", [{"op": "no such"}, {"op": "run"}, {"op": "record", "kind": "end", "fields": {}}, {}]
)
async def test_a_wrong_request_gets_an_answer_that_says_so(session: LiveSession, fields: dict[str, object]) -> None:
    import json

    from kernel_gateway.session.folder import runtime_folder

    reader, writer = await asyncio.open_unix_connection(runtime_folder(session.folder) / "control")
    writer.write(json.dumps({"id": 1, **fields}).encode() + b"\n")
    answer = json.loads(await reader.readline())
    writer.close()
    await writer.wait_closed()
    assert answer["error"]["type"] == "BadRequest"


async def test_names_of_a_cell_that_failed_are_told_when_they_are_lost(session: LiveSession) -> None:
    await session.python("half = 1\n1 / 0")
    result = await session.python("import os; os._exit(1)")
    assert result.notice and "Names lost: half" in result.notice


async def test_a_stop_ends_while_others_wait_for_the_notebook(session: LiveSession) -> None:
    await session.python("x = 1")

    async def keep_asking() -> None:
        with pytest.raises(SupervisorUnavailable):
            while True:
                await session.client.notebook()

    asking = [asyncio.create_task(keep_asking()) for _ in range(3)]
    async with connect(session.folder, start=False) as client:
        await asyncio.wait_for(client.stop(), 60)
    await asyncio.gather(*asking)
