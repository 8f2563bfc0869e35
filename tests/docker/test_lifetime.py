"""Containers from their start to their end: nothing stays, whoever ends first."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiodocker
import pytest

from kernel_gateway.image.store import Image
from kernel_gateway.sandbox import docker_strays
from kernel_gateway.sandbox.docker import DockerEngine
from kernel_gateway.sandbox.docker_daemon import BASE_IMAGE, EngineName
from kernel_gateway.sandbox.engine import Exit
from kernel_gateway.sandbox.oneshot import OneshotFailed, run_once
from kernel_gateway.session.policy import Policy
from tests.conftest import LiveSession, alive

from .conftest import Container, containers


async def until(condition: Callable[[], Any]) -> None:
    for _ in range(600):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen within 30 seconds")


async def test_a_killed_supervisor_takes_its_container_along(session: LiveSession, docker_socket: Path) -> None:
    await session.python("import subprocess; subprocess.Popen(['setsid', 'sleep', '9999'])")
    assert len(containers(docker_socket)) == 1
    pid = (await session.client.hello())["pid"]
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not alive(pid))
    await until(lambda: containers(docker_socket) == [])


async def test_each_generation_is_a_container_of_its_own_with_a_neutral_name(
    session: LiveSession, docker_socket: Path
) -> None:
    await session.python("1")
    (first,) = containers(docker_socket)
    await session.python("import os; os._exit(3)")
    await session.python("2")
    (second,) = containers(docker_socket)
    assert first["Id"] != second["Id"]
    assert [c["Labels"][docker_strays.GENERATION] for c in (first, second)] == ["1", "2"]
    assert first["Labels"][docker_strays.SESSION] == second["Labels"][docker_strays.SESSION]
    assert session.folder.id not in str([second["Names"], second["Labels"], second["Command"]])


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise SystemExit(7)", Exit(7)),
        ("import os; os.kill(os.getpid(), 11)", Exit(-11)),
        ("print('x')", Exit(0)),
    ],
)
async def test_the_end_is_that_of_the_command(container: Container, code: str, expected: Exit) -> None:
    sandbox = await container.python(code)
    assert await sandbox.wait() == expected
    assert await sandbox.wait() == expected
    assert await sandbox.stats() == {}


async def test_a_command_that_does_not_exist_says_so(container: Container) -> None:
    end, log = await container.run("/no/such/program")
    assert (end.status, log) == (127, "/no/such/program: No such file or directory\n")


async def test_a_signal_reaches_the_command_alone(container: Container) -> None:
    code = (
        "import signal, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        "signal.signal(signal.SIGINT, lambda *_: print('got it', child.poll(), flush=True) or exit(5))\n"
        "print('ready', flush=True)\n"
        "time.sleep(1000)"
    )
    sandbox = await container.python(code)
    await until(lambda: "ready" in sandbox.log_tail())
    await sandbox.signal_command(signal.SIGINT)
    assert (await sandbox.wait()).status == 5
    assert "got it None" in sandbox.log_tail()


async def test_stop_ends_all_of_it_and_orphans_are_reaped_meanwhile(
    container: Container, engine_name: EngineName
) -> None:
    code = (
        "import os, subprocess, time\n"
        "subprocess.run(['sh', '-c', 'sleep 0 & sleep 1000 &'])\n"
        "print('ready', flush=True)\n"
        "time.sleep(1000)"
    )
    sandbox = await container.python(code)
    await until(lambda: "ready" in sandbox.log_tail())
    stats = await sandbox.stats()
    assert stats["memory_bytes"] > 2**20
    assert engine_name == "gvisor" or stats["processes"] >= 3
    assert (await sandbox.stop()).status == -signal.SIGKILL
    assert not (await sandbox.stop()).out_of_memory


async def test_a_frozen_sandbox_stands_still_and_goes_on_where_it_was(container: Container) -> None:
    code = (
        "import subprocess, time\n"
        "subprocess.Popen(['sh', '-c', 'while :; do date +%N > ticks; sleep 0.02; done'])\n"
        "time.sleep(1000)"
    )
    sandbox = await container.python(code)
    ticks = container.workspace / "ticks"
    await until(lambda: ticks.exists() and ticks.stat().st_size)

    async def moves() -> bool:
        before = ticks.read_text()
        await asyncio.sleep(0.5)
        return ticks.read_text() != before

    assert await moves()
    await sandbox.freeze()
    # A signal is on its way for a moment.
    await asyncio.sleep(0.5)
    assert not await moves()
    stood_at = ticks.read_text()
    sandbox.thaw()
    await until(lambda: ticks.read_text() not in ("", stood_at))
    await sandbox.freeze()
    assert (await sandbox.stop()).status == -signal.SIGKILL


async def test_bytes_go_through_a_sandbox_that_is_thrown_away(engine: DockerEngine, image: Image) -> None:
    code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])"
    data = os.urandom(3_000_000)
    assert await run_once(engine, image.root, code, data, timeout=60, policy=Policy.default()) == data[::-1]
    with pytest.raises(OneshotFailed, match="status 3"):
        await run_once(engine, image.root, "raise SystemExit(3)", b"", timeout=60, policy=Policy.default())


async def test_a_socket_that_the_machine_made_can_be_reached_from_inside(container: Container) -> None:
    path = container.folder / "sockets" / "out"
    server = await asyncio.start_unix_server(lambda _, writer: (writer.write(b"hello"), writer.close()), path)
    path.chmod(0o666)
    code = "s = socket.socket(socket.AF_UNIX); s.connect('/run/kernel/out'); result = s.recv(9).decode()"
    assert await container.value(code) == "hello"
    server.close()


async def test_strays_of_a_dead_starter_are_removed_by_the_next_and_those_of_a_live_one_are_not(
    container: Container, make_container: Callable[..., Container], docker_socket: Path
) -> None:
    other = await make_container("other").start("/bin/sleep", "1000")
    boot, namespace, *_ = docker_strays.starter().split(":")
    labels = {docker_strays.STARTER: f"{boot}:{namespace}:1:12345", docker_strays.SESSION: "x"}
    async with aiodocker.Docker(url=f"unix://{docker_socket}") as client:
        config = {
            "Image": BASE_IMAGE,
            "Cmd": ["/bin/sleep", "1000"],
            "Labels": labels,
            "HostConfig": {"NetworkMode": "none"},
        }
        stray = await client.containers.create(config)
        await stray.start()
        left = await client.containers.create(config)
    assert (await container.run("/bin/true"))[0] == Exit(0)
    ids = {c["Id"] for c in containers(docker_socket)}
    assert ids.isdisjoint({stray.id, left.id}) and len(ids) == 1
    await other.stop()
