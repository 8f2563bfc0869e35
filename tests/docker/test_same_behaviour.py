"""What front ends see does not depend on the engine: these are the supervisor's own tests, with sessions in containers."""

from __future__ import annotations

import nbformat

from tests.conftest import LiveSession, NewSession
from tests.supervisor import test_runs

SAME = (
    "test_variables_live_from_one_cell_to_the_next",
    "test_a_picture_comes_back_as_png",
    "test_a_cell_that_fails_is_a_result",
    "test_an_endless_loop_ends_at_its_deadline_and_state_lives",
    "test_a_loop_that_ignores_interrupts_is_killed_and_the_names_it_took_are_told",
    "test_exit_of_the_kernel_is_a_death_with_cause_and_names",
    "test_a_restart_clears_variables_bash_and_node",
    "test_an_interrupt_hits_only_the_run_it_names",
)
globals().update({name: getattr(test_runs, name) for name in SAME})
MEGABYTE = 1024**2


async def test_want_of_memory_is_told_as_such(new_session: NewSession, engine_name: str) -> None:
    settings = {"limits.memory": 400 * MEGABYTE}
    session = await new_session(engine=engine_name, settings=settings)
    result = await session.python("x = bytearray(1 << 30)\nx[::4096] = b'x' * len(x[::4096])")
    assert result.exit == "died"
    assert result.notice and "out of memory" in result.notice
    assert (await session.python("print('on')")).stdout == "on\n"


async def test_the_notebook_is_valid_and_says_what_engine_enforced_what(session: LiveSession, engine_name: str) -> None:
    await session.python("1 + 1")
    await session.client.notebook()
    notebook = nbformat.read(session.folder.notebook, 4)
    nbformat.validate(notebook)
    said = notebook.metadata["kernel_gateway"]
    assert said["engine"] == engine_name
    assert said["isolation"]["memory"] == said["isolation"]["network"] == "enforced"
    assert said["isolation"]["disk"] != "enforced"


async def test_a_session_sees_only_what_is_its_own(session: LiveSession) -> None:
    found = (
        await session.python("import os; print(sorted(os.listdir('/')), os.getcwd(), os.path.expanduser('~'))")
    ).stdout
    assert found.endswith("] /workspace /home/user\n")
    assert session.folder.id not in (await session.bash("env; cat /proc/*/cmdline /proc/*/environ 2>/dev/null")).stdout
