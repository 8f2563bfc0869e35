"""The embedded engine: bubblewrap, as root (one user id a session) or as an ordinary user."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import EngineUnavailable
from . import doctor, freezing, layout, limits, linux, mount_points, seccomp, users
from .engine import Exit, SandboxSpec, Tier
from .spawn import GATE, Launch, Program, SpawnFailed, Stage, reap, reap_orphans, spawn

LOG_BYTES = 64 * 1024
_START_SECONDS = 60.0
# The first program inside: it tells the starter which process it is and becomes the command when the starter says so. When the
# starter is gone the command never runs.
_GATEKEEPER = f'echo >&{GATE} && read -r go <&{GATE} && exec "$@" {GATE}>&-'
_CREDENTIALS = struct.Struct("3i")


class BubblewrapEngine:
    """See `kernel_gateway.sandbox.engine.Engine`."""

    name = "bubblewrap"

    def __init__(self) -> None:
        self._program: Program | None = None
        self._filter = b""

    def check(self) -> None:
        self._ready()

    async def start(
        self, spec: SandboxSpec, *, stdin: int | None = None, stdout: int | None = None
    ) -> BubblewrapSandbox:
        if threading.current_thread() is not threading.main_thread():
            raise EngineUnavailable("A sandbox ends with the thread that starts it.", "Start it on the main thread.")
        uid = users.uid_for(spec)
        program = self._ready()
        for folder, path, is_folder in layout.mount_points(spec):
            mount_points.make(folder, path, is_folder=is_folder, uid=spec.uid)
        limit = limits.create(spec.policy, uid)
        try:
            return await _start(_Plan(spec, program, self._filter, limit, uid), stdin, stdout)
        except BaseException:
            await limit.remove()
            raise

    def _ready(self) -> Program:
        """The bwrap that works, found once."""
        if self._program is None:
            self._program = doctor.working_bwrap()
            self._filter = seccomp.program()
        return self._program


@dataclass(frozen=True)
class _Plan:
    spec: SandboxSpec
    program: Program
    filter_program: bytes
    limit: limits.Limits
    uid: int

    @property
    def stage(self) -> Stage | None:
        return Stage(self.uid, layout.sources(self.spec)) if os.geteuid() == 0 else None

    @property
    def rlimits(self) -> Sequence[tuple[int, int]]:
        fixed = [
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NOFILE, 4096),
            (resource.RLIMIT_FSIZE, self.spec.policy.disk),
        ]
        return [*fixed, (resource.RLIMIT_RTPRIO, 0), *self.limit.rlimits]


async def _start(plan: _Plan, stdin: int | None, stdout: int | None) -> BubblewrapSandbox:
    """Every descriptor opened here is either the sandbox's or closed when this returns."""
    options = layout.Options()
    log_reader, log_writer = linux.pipe()
    log = _Log(log_reader)
    ours, theirs = socket.socketpair()
    # Before anybody can write: what was sent earlier carries no credentials.
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ours.setblocking(False)
    try:
        with contextlib.ExitStack() as closing:
            closing.callback(options.close)
            gate = linux.moved_up(theirs.detach())
            for fd in (log_writer, gate):
                closing.callback(os.close, fd)
            outer = _spawn(plan, options, _Ends(gate, log_writer), stdin, stdout)
    except BaseException:
        ours.close()
        log.close()
        raise
    with ours:
        return await _open_gate(ours, _Processes(outer, os.pidfd_open(outer)), log, plan)


@dataclass(frozen=True)
class _Ends:
    """The sandbox's ends of what connects it to us."""

    gate: int
    log: int


def _spawn(plan: _Plan, options: layout.Options, ends: _Ends, stdin: int | None, stdout: int | None) -> int:
    layout.write_options(options, plan.spec, plan.filter_program, staged=plan.stage is not None)
    arguments = ["bwrap", "--args", str(options.packed()), "--", "/bin/sh", "-c", _GATEKEEPER, "sh", *plan.spec.command]
    if plan.stage is not None:
        # So that /dev/stdout and /dev/stderr can be opened by their names inside.
        os.fchown(ends.log, plan.uid, plan.uid)
    join: list[int] = []
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        join += plan.limit.join_fds()
        return spawn(
            Launch(
                program=plan.program,
                arguments=arguments,
                stdin=nothing if stdin is None else stdin,
                stdout=ends.log if stdout is None else stdout,
                stderr=ends.log,
                gate=ends.gate,
                keep=options.fds,
                join=join,
                rlimits=plan.rlimits,
                stage=plan.stage,
            )
        )
    except SpawnFailed as error:
        raise EngineUnavailable(f"bubblewrap could not be started: {error}.", "See: cell-gateway doctor") from error
    finally:
        for fd in (nothing, *join):
            os.close(fd)


async def _open_gate(ours: socket.socket, processes: _Processes, log: _Log, plan: _Plan) -> BubblewrapSandbox:
    """Nothing of the session has run before the starter has looked at who is waiting."""
    try:
        await asyncio.wait_for(linux.readable(ours.fileno()), _START_SECONDS)
        command, uid = _credentials(ours)
        processes.found(command)
        if uid != plan.uid:
            raise EngineUnavailable(
                f"The sandbox runs as user id {uid}, not {plan.uid}.", "Please report this: nothing was run in it."
            )
        plan.limit.confine(command)
        ours.send(b"go\n")
    except BaseException as error:
        ours.close()
        await processes.abandoned()
        await log.finished()
        reap_orphans()
        if isinstance(error, (OSError, asyncio.TimeoutError)):
            raise EngineUnavailable(
                f"The sandbox did not start: {log.text().strip() or error}.", "See: cell-gateway doctor"
            ) from error
        raise
    return BubblewrapSandbox(processes, log, plan.limit)


def _credentials(ours: socket.socket) -> tuple[int, int]:
    """The pid and uid, as this machine sees them, of the process that wrote. Raises OSError when nobody did."""
    data, ancillary, _, _ = ours.recvmsg(16, socket.CMSG_SPACE(_CREDENTIALS.size))
    if not data:
        raise ConnectionError("bubblewrap ended before its command began")
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid, uid, _ = _CREDENTIALS.unpack(payload)
            return pid, uid
    raise ConnectionError("the sandbox's first process cannot be identified")


@dataclass
class _Processes:
    """The three that we know: bwrap outside (our child), its process 1 inside, and the command. Pidfds, since pids are used again."""

    outer: int
    outer_fd: int
    init: int = 0
    init_fd: int = -1
    command_fd: int = -1

    def found(self, command: int) -> None:
        """``command`` waits at the gate, so neither it nor its parent can have been replaced yet."""
        self.command_fd = os.pidfd_open(command)
        self.init = _parent_of(command)
        self.init_fd = os.pidfd_open(self.init)
        if _parent_of(self.init) != self.outer:
            raise ConnectionError("the sandbox's first process belongs to somebody else")

    def signal(self, fd: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, number)

    async def abandoned(self) -> None:
        """The gate is closed: bwrap ends by itself, and a kill before it has set up its child would orphan that."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(linux.readable(self.outer_fd), _START_SECONDS)
        self.signal(self.outer_fd, signal.SIGKILL)
        await self.ended()
        self.close()

    async def ended(self) -> int:
        """The exit status of bwrap, once nothing of the sandbox runs: process 1 ends after all others of its namespace."""
        await linux.readable(self.outer_fd)
        status = reap(self.outer)
        if self.init_fd >= 0:
            await linux.readable(self.init_fd)
            reap(self.init)
        return status

    def close(self) -> None:
        for fd in (self.outer_fd, self.init_fd, self.command_fd):
            if fd >= 0:
                os.close(fd)


def _parent_of(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


class _Log:
    """Reads a pipe to its end and keeps the tail."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._tail = bytearray()
        self._loop = asyncio.get_running_loop()
        self._finished = asyncio.Event()
        self._loop.add_reader(fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, LOG_BYTES)
        except BlockingIOError:
            return
        self._tail += data
        del self._tail[:-LOG_BYTES]
        if not data:
            self.close()

    def text(self) -> str:
        return self._tail.decode("utf-8", "replace")

    async def finished(self) -> None:
        await self._finished.wait()

    def close(self) -> None:
        if not self._finished.is_set():
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._finished.set()


@dataclass
class BubblewrapSandbox:
    """See `kernel_gateway.sandbox.engine.Sandbox`."""

    _processes: _Processes
    _log: _Log
    _limit: limits.Limits
    _killed: str = ""
    _stopped: freezing.Stopped | None = None
    _end: asyncio.Task[Exit] = field(init=False)

    def __post_init__(self) -> None:
        self._end = asyncio.create_task(self._until_end())

    @property
    def isolation(self) -> Mapping[str, Tier]:
        """``disk`` is none: the largest file is limited, their sum is not. Whoever starts the sandbox may watch that."""
        fixed: dict[str, Tier] = {
            "file size": "enforced",
            "open files": "enforced",
            "core files": "enforced",
            "network": "enforced",
            "files": "enforced",
            "syscalls": "enforced",
            "privileges": "enforced",
        }
        return {**self._limit.tiers, "disk": "none", **fixed}

    def log_tail(self) -> str:
        return self._log.text()

    async def signal_command(self, signum: int) -> None:
        if not self._end.done():
            self._processes.signal(self._processes.command_fd, signum)

    async def wait(self) -> Exit:
        return await asyncio.shield(self._end)

    async def stats(self) -> Mapping[str, int]:
        if self._end.done():
            return {}
        used = round(1000 * freezing.cpu_seconds(self._processes.init))
        return {**self._limit.stats(self._processes.init), "cpu_milliseconds": used}

    async def freeze(self) -> None:
        if not self._end.done() and self._stopped is None and not self._limit.freeze(frozen=True):
            self._stopped = freezing.Stopped(self._processes.init)

    def thaw(self) -> None:
        if self._stopped is not None:
            self._stopped.continue_()
            self._stopped = None
        elif not self._end.done():
            self._limit.freeze(frozen=False)

    async def stop(self) -> Exit:
        self._kill("stopped")
        return await self.wait()

    def _kill(self, why: str) -> None:
        if not self._end.done() and not self._killed:
            self._killed = why
            self._processes.signal(self._processes.init_fd, signal.SIGKILL)

    async def _until_end(self) -> Exit:
        watch = asyncio.create_task(self._watch_memory())
        status = await self._processes.ended()
        watch.cancel()
        await self._log.finished()
        kills = self._limit.out_of_memory_kills()
        await self._limit.remove()
        self._processes.close()
        self.thaw()
        status = 128 - status if status > 128 else status
        return Exit(status, out_of_memory=kills > 0 and status == -signal.SIGKILL and self._killed != "stopped")

    async def _watch_memory(self) -> None:
        await self._limit.exceeded(self._processes.init)
        self._kill("memory")
