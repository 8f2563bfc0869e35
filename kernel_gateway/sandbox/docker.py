"""Sandboxes as containers of this machine's Docker, with its own runtime or with gVisor's, or of Podman.

One container is one sandbox: made, started once, removed. Its process 1 (`docker_inside`) hangs on our connection to it: a starter that
is killed takes the container with it, and the daemon removes what has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import struct
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiodocker
import aiohttp
from aiodocker.containers import DockerContainer
from aiodocker.stream import Stream

from ..errors import EngineUnavailable
from . import docker_strays, layout, mount_points, users
from .docker_daemon import Daemon, EngineName, ready_daemon
from .docker_layout import Container, accounts, container, seccomp_profile
from .engine import Exit, SandboxSpec, Tier

LOG_BYTES = 64 * 1024
_CHUNK = 1024**2
_FRAME = struct.Struct(">cI")
_STDOUT = 1
# The status of a sandbox whose daemon went away under it.
_LOST = 128 + signal.SIGKILL
# After a container is gone, until its last event is heard.
_EVENT_SECONDS = 5.0
_GONE = (aiodocker.DockerError, aiohttp.ClientError, OSError)


class DockerEngine:
    """See `kernel_gateway.sandbox.engine.Engine`. ``name`` is ``docker``, ``gvisor`` or ``podman``."""

    def __init__(self, name: EngineName = "docker") -> None:
        self.name: str = name
        self._engine: EngineName = name
        self._daemon: Daemon | None = None

    def check(self) -> None:
        self._ready()

    async def start(self, spec: SandboxSpec, *, stdin: int | None = None, stdout: int | None = None) -> DockerSandbox:
        """``stdin`` is read to its end before the command begins."""
        uid, daemon = users.uid_for(spec), self._ready()
        for folder, path, is_folder in layout.mount_points(spec):
            mount_points.make(folder, path, is_folder=is_folder, uid=spec.uid)
        client = aiodocker.Docker(url=f"unix://{daemon.socket}")
        try:
            with _docker_errors(self.name):
                await docker_strays.remove(client, spec)
                return await _start(client, daemon, spec, uid, stdin, stdout)
        except BaseException:
            await client.close()
            raise

    def _ready(self) -> Daemon:
        """The daemon, looked at once."""
        if self._daemon is None:
            self._daemon = ready_daemon(self._engine)
        return self._daemon


@contextmanager
def _docker_errors(name: str) -> Generator[None]:
    try:
        yield
    except aiodocker.DockerError as error:
        raise EngineUnavailable(f"{name} made no sandbox: {error.message}.", "See: cell-gateway doctor") from error
    except (aiohttp.ClientError, OSError) as error:
        raise EngineUnavailable(f"{name} does not answer: {error}.", "See: cell-gateway doctor") from error


async def _start(
    client: aiodocker.Docker, daemon: Daemon, spec: SandboxSpec, uid: int, stdin: int | None, stdout: int | None
) -> DockerSandbox:
    inside = 0 if daemon.rootless else uid
    with contextlib.ExitStack() as files:
        described = Container(
            inside,
            docker_strays.labels(spec),
            files.enter_context(seccomp_profile(daemon)),
            files.enter_context(accounts(spec, daemon, inside)),
            stdin is not None,
        )
        config = container(spec, daemon, described)
        made = await client.containers.create(config, name=f"cell-gateway-{secrets.token_hex(6)}")
        link = await _run(client, made, daemon, stdin)
    return DockerSandbox(link, daemon, None if stdout is None else os.dup(stdout))


async def _run(client: aiodocker.Docker, made: DockerContainer, daemon: Daemon, stdin: int | None) -> _Link:
    async with contextlib.AsyncExitStack() as undo:
        undo.push_async_callback(_discard, made)
        # Each of these is asked before the start, so that nothing of a short life is missed.
        hand = made.attach(stdin=True, stdout=True, stderr=True)
        undo.push_async_callback(hand.close)
        await hand.__aenter__()
        events, end = await _events(client, made), await _end(client, made, daemon)
        undo.callback(events.close)
        undo.callback(end.close)
        await made.start()
        if stdin is not None:
            await _send_stdin(hand, stdin)
        undo.pop_all()
    return _Link(client, made, hand, events, end)


async def _discard(made: DockerContainer) -> None:
    with contextlib.suppress(*_GONE):
        await made.delete(force=True, v=True)


async def _events(client: aiodocker.Docker, made: DockerContainer) -> aiohttp.ClientResponse:
    """A stream of lines about this container: of memory that ran out, and of its removal (Podman calls that otherwise)."""
    filters = {"container": [made.id], "event": ["oom", "destroy", "remove"]}
    return await _request(client, "GET", "events", filters=json.dumps(filters))


async def _end(client: aiodocker.Docker, made: DockerContainer, daemon: Daemon) -> aiohttp.ClientResponse:
    """The answer comes when the container is removed, or with Podman, which has forgotten the status by then, when it has ended."""
    condition = "next-exit" if daemon.engine == "podman" else "removed"
    return await _request(client, "POST", f"containers/{made.id}/wait", condition=condition)


async def _request(client: aiodocker.Docker, method: str, path: str, **query: str) -> aiohttp.ClientResponse:
    """Returns with the head of the answer. What aiodocker has for this waits for the whole of it."""
    url = f"{client.docker_host}/{client.api_version}/{path}"
    response = await client.session.request(method, url, params=query, timeout=aiohttp.ClientTimeout())
    if response.status >= 400:
        text = await response.text()
        raise aiodocker.DockerError(response.status, text.strip())
    return response


async def _send_stdin(hand: Stream, stdin: int) -> None:
    while data := await asyncio.to_thread(os.read, stdin, _CHUNK):
        await hand.write_in(_FRAME.pack(b"i", len(data)) + data)
    await hand.write_in(_FRAME.pack(b"e", 0))


@dataclass(frozen=True)
class _Link:
    """Everything that we hold of a running container."""

    client: aiodocker.Docker
    container: DockerContainer
    hand: Stream
    events: aiohttp.ClientResponse
    end: aiohttp.ClientResponse

    async def status(self) -> int:
        """The exit status of process 1, once the container is removed."""
        try:
            return int((await self.end.json())["StatusCode"])
        except (*_GONE, ValueError, KeyError):
            return _LOST

    async def out_of_memory(self, count: _Count) -> None:
        """Counts until the container is removed."""
        with contextlib.suppress(*_GONE, ValueError):
            async for line in self.events.content:
                action = json.loads(line).get("Action") if line.strip() else ""
                if action in ("destroy", "remove"):
                    return
                count.kills += action == "oom"

    async def close(self) -> None:
        self.events.close()
        self.end.close()
        # aiodocker asserts that the connection is still there.
        with contextlib.suppress(*_GONE, AssertionError):
            await self.hand.close()
        await self.client.close()
        # Transports close in the next round of the loop, which may be its last.
        await asyncio.sleep(0)


@dataclass
class _Count:
    kills: int = 0


@dataclass
class DockerSandbox:
    """See `kernel_gateway.sandbox.engine.Sandbox`."""

    _link: _Link
    _daemon: Daemon
    # Ours: a copy of the caller's descriptor for the command's stdout.
    _stdout: int | None
    _tail: bytearray = field(default_factory=bytearray)
    _count: _Count = field(default_factory=_Count)
    _stopped: bool = False
    _thawing: asyncio.Task[None] | None = None
    _ended: asyncio.Task[Exit] = field(init=False)

    def __post_init__(self) -> None:
        self._ended = asyncio.create_task(self._until_end())

    @property
    def container_id(self) -> str:
        return self._link.container.id

    @property
    def isolation(self) -> Mapping[str, Tier]:
        """A daemon without the cgroup of a limit ignores it. ``disk`` is none: the largest file is limited, their sum is not."""
        limits: dict[str, Tier] = {name: "enforced" if held else "none" for name, held in self._daemon.limits.items()}
        fixed: dict[str, Tier] = {
            "network": "enforced",
            "files": "enforced",
            "syscalls": "enforced",
            "privileges": "enforced",
        }
        return {**limits, "disk": "none", **fixed}

    def log_tail(self) -> str:
        return self._tail.decode("utf-8", "replace")

    async def signal_command(self, signum: int) -> None:
        await self._tell(b"s", signum)

    async def _tell(self, kind: bytes, signum: int) -> None:
        payload = str(int(signum)).encode()
        if not self._ended.done():
            with contextlib.suppress(*_GONE, RuntimeError, AssertionError):
                await self._link.hand.write_in(_FRAME.pack(kind, len(payload)) + payload)

    async def wait(self) -> Exit:
        return await asyncio.shield(self._ended)

    async def stats(self) -> Mapping[str, int]:
        if self._ended.done():
            return {}
        query = {"stream": "false", "one-shot": "true"}
        try:
            response = await _request(self._link.client, "GET", f"containers/{self.container_id}/stats", **query)
            async with response:
                return _numbers(await response.json(), self._count.kills, self._daemon)
        except (*_GONE, ValueError):
            return {}

    async def freeze(self) -> None:
        """By process 1, which goes on: in a paused container it could not see that its supervisor ended, and would stay behind."""
        await self._tell(b"a", signal.SIGSTOP)

    def thaw(self) -> None:
        # A few bytes on an open connection: they are written at once, and kept until they are.
        self._thawing = asyncio.create_task(self._tell(b"a", signal.SIGCONT))

    async def stop(self) -> Exit:
        if not self._ended.done():
            self._stopped = True
            with contextlib.suppress(*_GONE):
                await self._link.container.kill(signal="KILL")
        return await self.wait()

    async def _until_end(self) -> Exit:
        counting = asyncio.create_task(self._link.out_of_memory(self._count))
        reading = asyncio.create_task(self._read())
        status = await self._link.status()
        await reading
        await asyncio.wait({counting}, timeout=_EVENT_SECONDS)
        counting.cancel()
        await self._link.close()
        status = 128 - status if status > 128 else status
        return Exit(status, self._count.kills > 0 and status == -signal.SIGKILL and not self._stopped)

    async def _read(self) -> None:
        """What the command writes, until the connection ends; it waits when nobody takes its stdout."""
        try:
            while (message := await self._link.hand.read_out()) is not None:
                if message.stream == _STDOUT and self._stdout is not None:
                    await asyncio.to_thread(_write, self._stdout, message.data)
                else:
                    self._tail += message.data
                    del self._tail[:-LOG_BYTES]
        except _GONE:
            return
        finally:
            if self._stdout is not None:
                os.close(self._stdout)


def _write(fd: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):
        while data:
            data = data[os.write(fd, data) :]


def _numbers(found: Mapping[str, Any], kills: int, daemon: Daemon) -> dict[str, int]:
    """Of ``GET /containers/{id}/stats``; page cache that the kernel would give up is not counted as used."""
    memory = found.get("memory_stats") or {}
    details = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    known = {
        "memory_bytes": max(0, memory["usage"] - cache) if "usage" in memory else None,
        "memory_peak_bytes": memory.get("max_usage"),
        # Those of gVisor are its own threads on the machine.
        "processes": None if daemon.engine == "gvisor" else (found.get("pids_stats") or {}).get("current"),
    }
    return {"out_of_memory_kills": kills, **{name: int(value) for name, value in known.items() if value is not None}}
