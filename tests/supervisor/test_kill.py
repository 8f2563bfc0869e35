"""kill -9 of anything at any moment: what was acknowledged is there, nothing ran twice, the notebook validates (P1, P2, P7)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from kernel_gateway.errors import SupervisorUnavailable
from kernel_gateway.journal import read
from kernel_gateway.notebook.write import write_notebook
from kernel_gateway.session.folder import SessionFolder
from kernel_gateway.supervisor.client import connect
from kernel_gateway.supervisor.runs import RunRequest, RunResult
from tests.conftest import LiveSession, NewSession

# Runs numbered cells, one after another, and says on stdout which were acknowledged. Each cell appends its number to a file: the witness.
FRONT_END = """
import asyncio, sys
from pathlib import Path
from kernel_gateway.session.folder import SessionFolder
from kernel_gateway.supervisor.client import connect
from kernel_gateway.supervisor.runs import RunRequest

async def main():
    first = int(sys.argv[2])
    async with connect(SessionFolder(Path(sys.argv[1]))) as client:
        for i in range(first, first + 100000):
            source = f"print({i})\\nopen('witness', 'a').write('{i}\\\\n')"
            result = await client.run(RunRequest(f"run-{i}", f"cell-{i}", source))
            print(i, result.exit, flush=True)

asyncio.run(main())
"""


READ_ALL_ENVIRONMENTS = """
import os
for pid in filter(str.isdigit, os.listdir('/proc')):
    for name in ('environ', 'cmdline'):
        try:
            print(pid, open(f'/proc/{pid}/{name}', 'rb').read())
        except OSError as error:
            print(pid, error)
"""


async def start_front_end(folder: SessionFolder, first: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", FRONT_END, str(folder.path), str(first), stdout=asyncio.subprocess.PIPE
    )


async def acknowledged_until(front_end: asyncio.subprocess.Process, after: int, delay: float) -> list[int]:
    """The numbers acknowledged ok: until ``after`` of them, then for ``delay`` seconds more."""
    assert front_end.stdout is not None
    numbers: list[int] = []

    async def collect(enough: int | None) -> None:
        assert front_end.stdout is not None
        while (enough is None or len(numbers) < enough) and (line := await front_end.stdout.readline()):
            number, exit_ = line.split()
            if exit_ == b"ok":
                numbers.append(int(number))

    await asyncio.wait_for(collect(after), 60)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(collect(None), delay)
    return numbers


async def rest_of(front_end: asyncio.subprocess.Process) -> list[int]:
    assert front_end.stdout is not None
    # The last line may be half a line.
    lines = [line.split() for line in (await front_end.stdout.read()).split(b"\n")[:-1]]
    return [int(line[0]) for line in lines if len(line) == 2 and line[1] == b"ok"]


def check_record(folder: SessionFolder, acknowledged: list[int]) -> None:
    records = read(folder.journal).records
    for number in acknowledged:
        result = RunResult.from_records(f"run-{number}", records)
        assert result is not None and (result.exit, result.stdout) == ("ok", f"{number}\n")
    witness = (folder.workspace / "witness").read_text().split()
    assert len(witness) == len(set(witness)), "a cell ran twice"
    assert {str(n) for n in acknowledged} <= set(witness)
    write_notebook(folder)
    notebook = nbformat.read(folder.notebook, 4)
    nbformat.validate(notebook)
    sources = {c.id: c for c in notebook.cells}
    assert all(f"cell-{n}" in sources for n in acknowledged)


def kernel_pid(session: SessionFolder, supervisor: int) -> int:
    """The kernel's own process: the Python below the supervisor's sandbox."""
    found = [supervisor]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    names = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in found}
    return next(
        pid for pid, line in names.items() if b"ipykernel_launcher" in line and b"bwrap" not in line.split(b"\0")[0]
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize("victim", ["front end", "supervisor", "kernel"])
async def test_kill_at_random_moments_loses_nothing_acknowledged(new_session: NewSession, victim: str) -> None:
    session = await new_session()
    moments = random.Random(victim)
    acknowledged: list[int] = []
    first = 0
    for _ in range(17):
        front_end = await start_front_end(session.folder, first)
        acknowledged += await acknowledged_until(front_end, 2, moments.uniform(0, 0.05))
        async with connect(session.folder) as client:
            supervisor = int((await client.hello())["pid"])
        if victim == "supervisor":
            os.kill(supervisor, signal.SIGKILL)
        elif victim == "kernel":
            with contextlib.suppress(StopIteration, FileNotFoundError, ProcessLookupError):
                os.kill(kernel_pid(session.folder, supervisor), signal.SIGKILL)
            acknowledged += await acknowledged_until(front_end, 1, moments.uniform(0, 0.05))
        with contextlib.suppress(ProcessLookupError):
            front_end.kill()
        acknowledged += await rest_of(front_end)
        await front_end.wait()
        starts = [r["run"] for r in read(session.folder.journal).records if r["kind"] == "start"]
        first = 1 + max(int(run.split("-")[1]) for run in starts if run.split("-")[1].isdigit())
    check_record(session.folder, acknowledged)
    assert len(acknowledged) >= 34


async def test_a_cell_whose_front_end_died_finishes_with_all_its_output(new_session: NewSession) -> None:
    session = await new_session()
    source = "import time\nfor i in range(2000):\n    print(i)\n    time.sleep(0.001)"
    code = f"""
import asyncio, sys
from pathlib import Path
from kernel_gateway.session.folder import SessionFolder
from kernel_gateway.supervisor.client import connect
from kernel_gateway.supervisor.runs import RunRequest

async def main():
    async with connect(SessionFolder(Path({str(session.folder.path)!r}))) as client:
        await client.run(RunRequest("long", "long", {source!r}), lambda outputs: print("output", flush=True))

asyncio.run(main())
"""
    front_end = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert front_end.stdout is not None
    await asyncio.to_thread(front_end.stdout.readline)
    front_end.kill()
    front_end.wait()
    front_end.stdout.close()
    async with connect(session.folder) as client:
        result = await client.run(RunRequest("long", "long", source))
    assert result.stdout == "".join(f"{i}\n" for i in range(2000))


async def test_the_cell_that_ran_when_the_recorder_died_is_died_and_is_not_repeated(new_session: NewSession) -> None:
    session = await new_session()
    running = asyncio.create_task(
        session.python("open('witness', 'a').write('x'); import time; time.sleep(60)", run="cell")
    )
    while (
        not (session.folder.workspace / "witness").exists() or not (session.folder.workspace / "witness").stat().st_size
    ):
        await asyncio.sleep(0.02)
    os.kill((await session.client.hello())["pid"], signal.SIGKILL)
    with pytest.raises(SupervisorUnavailable):
        await running
    async with connect(session.folder) as client:
        result = await client.run(RunRequest("cell", "cell", "open('witness', 'a').write('y')"))
        assert result.exit == "died"
        assert result.notice and "recorder lost" in result.notice
        after = await client.run(session.request("print(open('witness').read())"))
    assert after.stdout == "x\n"


async def test_the_sandbox_dies_with_its_supervisor(session: LiveSession) -> None:
    await session.python("import subprocess; subprocess.Popen(['setsid', 'sleep', '600'])")
    supervisor = int((await session.client.hello())["pid"])
    kernel = kernel_pid(session.folder, supervisor)
    watch = os.pidfd_open(kernel)
    os.kill(supervisor, signal.SIGKILL)
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(watch, gone.set)
    try:
        await asyncio.wait_for(gone.wait(), 30)
    finally:
        loop.remove_reader(watch)
        os.close(watch)


async def test_the_models_key_is_not_in_the_supervisor(
    new_session: NewSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-7f3a")
    session = await new_session()
    pid = int((await session.client.hello())["pid"])
    assert b"canary-7f3a" not in Path(f"/proc/{pid}/environ").read_bytes()
    found = await session.python(READ_ALL_ENVIRONMENTS)
    assert found.exit == "ok" and "canary" not in json.dumps(found.outputs)
