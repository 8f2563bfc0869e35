"""What a front end uses: connect to a session's supervisor, starting it when there is none, and talk over its control socket."""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import orjson

from .. import errors
from ..egress.upstreams import network_environment
from ..errors import GatewayError, SessionBusy, SupervisorUnavailable
from ..journal import BlobStore, Record, read
from ..session.folder import SessionFolder, runtime_folder
from ..session.lock import hold
from .runs import LINE_LIMIT, Output, RunRequest, RunResult, fold_outputs

OnOutput = Callable[[list[Output]], None]

# The supervisor's whole environment: what it needs to find its files, and nothing a front end may hold, such as the model's key.
PASSED_ENVIRONMENT = (
    *("PATH", "HOME", "LANG", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "TMPDIR", "USER"),
    *("DOCKER_HOST", "CONTAINER_HOST"),
)


class SessionClient:
    """One connection. Dropping it never harms what runs."""

    def __init__(self, folder: SessionFolder, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.folder = folder
        self._reader, self._writer = reader, writer
        self._answers: dict[int, asyncio.Queue[dict[str, Any]]] = {}
        self._number = 0
        self._listening = asyncio.create_task(self._listen())

    async def run(self, request: RunRequest, on_output: OnOutput | None = None) -> RunResult:
        """Execute once and return when the end is on disk. A known run is awaited, not repeated. A cell that fails is a result."""
        return await self._execute("run", request, on_output)

    async def restart(self, request: RunRequest, on_output: OnOutput | None = None) -> RunResult:
        """A fresh kernel generation, then ``request`` (the restart marker cell) as its first visible run."""
        return await self._execute("restart", request, on_output)

    async def interrupt(self, run: str) -> bool:
        """False when that run is neither running nor queued."""
        return bool((await self._ask("interrupt", run=run))["interrupted"])

    async def record(self, kind: str, **fields: Any) -> int:
        """Append a prompt, words, request, message, turn, input, files, notice or edit record; returns its seq once it is durable."""
        return int((await self._ask("record", kind=kind, fields=fields))["seq"])

    async def notebook(self) -> str | None:
        """Return when ``notebook.ipynb`` holds everything recorded so far; a text when there is something to tell about it."""
        notice: str | None = (await self._ask("notebook"))["notice"]
        return notice

    async def hello(self, *, kernel: bool = False) -> dict[str, Any]:
        """``state`` (dead, idle, frozen, busy), ``running``, ``generation``, ``connection_file``, ``names``; with ``kernel`` once
        it lives.
        """
        return await self._ask("hello", kernel=kernel)

    async def replay(self) -> dict[str, Any]:
        """`hello`, once a kernel lives: a new one gets no restart marker, since the caller replays the cells with hidden runs."""
        return await self._ask("hello", replay=True)

    async def notify(self, text: str) -> None:
        """What the caller of the next run is told with its end, in place of what waited to be told; an empty text: nothing."""
        await self._ask("notify", text=text)

    async def claim(self) -> None:
        """Tell the supervisor that its folder is now this client's."""
        await self._ask("claim", path=str(self.folder.path))

    async def stats(self) -> dict[str, Any]:
        """``sandbox`` (memory, processes), and counters of what was dropped or rejected."""
        return await self._ask("stats")

    async def allow(self, host: str, mode: str, methods: Sequence[str] = (), *, by: str) -> dict[str, Any]:
        """Allow a host for this session; returns the rule that holds now. Raises BadRequest."""
        answer = await self._ask("allow", host=host, mode=mode, methods=list(methods), by=by)
        rule: dict[str, Any] = answer["rule"]
        return rule

    async def cut(self, *, by: str, undo: bool = False) -> None:
        """End all traffic; returns when nothing of it is left. Nothing passes until ``undo``."""
        await self._ask("cut", by=by, undo=undo)

    async def questions(self, on_event: Callable[[dict[str, Any]], None]) -> None:
        """Be one who answers what code asks of the network: ``question`` and ``settled`` events, until this is cancelled or the
        connection closes. While nobody is, such questions are answered no.
        """
        await self._ask("questions", on_event)

    async def answer(self, question: str, *, allow: bool, by: str) -> bool:
        """False when it was settled already."""
        return bool((await self._ask("answer", question=question, allow=allow, by=by))["taken"])

    async def freeze(self) -> bool:
        """Stop the idle kernel's processes until the next message to it; False when there is none, or a cell runs."""
        return bool((await self._ask("freeze"))["frozen"])

    async def stop(self) -> None:
        """End kernel and supervisor; returns when both are gone."""
        await self._ask("stop")
        with await asyncio.to_thread(_flock, self.folder, "lock"):
            pass

    async def close(self) -> None:
        self._listening.cancel()
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _execute(self, op: str, request: RunRequest, on_output: OnOutput | None) -> RunResult:
        batches: list[Output] = []

        def on_event(event: dict[str, Any]) -> None:
            batches.extend(event["outputs"])
            if on_output is not None:
                on_output(event["outputs"])

        answer = await self._ask(op, on_event, **dataclasses.asdict(request))
        if not answer["complete"]:
            # It ran, or began, before this connection was there: the journal knows.
            recorded = RunResult.from_records(
                request.run, read(self.folder.journal).records, BlobStore(self.folder.blobs)
            )
            if recorded is not None:
                return recorded
        end: Record = answer["end"]
        result = RunResult.from_records(request.run, [{"kind": "start", "run": request.run, "cell": request.cell}, end])
        assert result is not None
        result.outputs = fold_outputs(batches)
        return result

    async def _ask(
        self, op: str, on_event: Callable[[dict[str, Any]], None] | None = None, **fields: Any
    ) -> dict[str, Any]:
        self._number += 1
        number, answers = self._number, asyncio.Queue[dict[str, Any]]()
        self._answers[number] = answers
        if self._listening.done():
            raise _gone(self.folder)
        self._writer.write(orjson.dumps({"id": number, "op": op, **fields}, default=list) + b"\n")
        try:
            while True:
                answer = await answers.get()
                if "error" in answer:
                    raise _error(answer["error"])
                if answer.get("done"):
                    return answer
                if on_event is not None:
                    on_event(answer)
        finally:
            del self._answers[number]

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                answer = orjson.loads(line)
                if (answers := self._answers.get(answer["id"])) is not None:
                    answers.put_nowait(answer)
        except (ConnectionError, ValueError):
            pass
        gone = _gone(self.folder)
        for answers in self._answers.values():
            described = {"type": type(gone).__name__, "message": gone.message, "next": gone.next_step}
            answers.put_nowait({"error": described})


@asynccontextmanager
async def connect(
    folder: SessionFolder, *, start: bool = True, prepare: Callable[[], None] | None = None
) -> AsyncGenerator[SessionClient, None]:
    """A session's supervisor, started when there is none.

    ``prepare`` is for a replay: it is called, in a thread, while nobody else can start the session, and the kernel then waits for
    `SessionClient.replay`. Raises SessionBusy when the session runs already.

    Raises SupervisorUnavailable; with ``start=False`` also when none is running. EngineUnavailable and ImageUnavailable pass through.
    """
    client = await _connect_running(folder)
    if client is None and start:
        # Two front ends that start one session at once: the second finds the first one's supervisor.
        with await asyncio.to_thread(_flock, folder, "start"):
            client = await _connect_running(folder)
            if client is None:
                if prepare is not None:
                    await asyncio.to_thread(prepare)
                await _start_supervisor(folder, ["--replay"] if prepare else [])
                prepare = None
                client = await _connect_running(folder)
    if client is not None and prepare is not None:
        await client.close()
        raise SessionBusy(f"The session {folder.id} was started again meanwhile.", "Use it as it is.")
    if client is None:
        raise SupervisorUnavailable(
            f"The session {folder.id} is not running.", f"Start it with: cell-gateway sessions resume {folder.id}"
        )
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def connect_or_hold(folder: SessionFolder) -> AsyncGenerator[SessionClient | None]:
    """The session's supervisor; None when none runs, and then its lock is held: this process alone may append to the journal.

    Meanwhile nobody starts one. Waits for one that is starting, or ending.
    """
    folder.read()
    async with hold(folder, "start"):
        client = await _connect_running(folder)
        if client is None:
            async with hold(folder, "lock"):
                yield None
            return
        try:
            yield client
        finally:
            await client.close()


async def _connect_running(folder: SessionFolder) -> SessionClient | None:
    folder.read()
    try:
        reader, writer = await asyncio.open_unix_connection(runtime_folder(folder) / "control", limit=LINE_LIMIT)
    except (FileNotFoundError, ConnectionError):
        return None
    client = SessionClient(folder, reader, writer)
    try:
        # Whoever renamed the folder may have died before the supervisor was told.
        if (await client.hello()).get("path", str(folder.path)) != str(folder.path):
            await client.claim()
    except SupervisorUnavailable:
        # It was just ending: the connection lay in the backlog of a dead socket.
        await client.close()
        return None
    return client


# What a large message took is given back to the machine once it is recorded, and not kept in pieces.
_ALLOCATION = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "262144"}


def supervisor_environment() -> dict[str, str]:
    """Ours, less everything that is not on the list. Where packages come from is: the supervisor asks pip and npm on its own behalf."""
    ours = {k: v for k, v in os.environ.items() if k in PASSED_ENVIRONMENT or k.startswith("CELL_GATEWAY_")}
    return {**ours, **network_environment(os.environ), **_ALLOCATION}


async def _start_supervisor(folder: SessionFolder, options: Sequence[str]) -> None:
    read_end, write_end = os.pipe()
    log = os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    command = [sys.executable, "-m", "kernel_gateway.supervisor.main", str(folder.path), "--ready", str(write_end)]
    command += options
    try:
        scope = _scope()
        # Where the service manager refuses after all, the supervisor does without.
        if not scope or await _run_starter([*scope, *command], write_end, log) != 0:
            await _run_starter(command, write_end, log)
    finally:
        os.close(write_end)
        os.close(log)
    with os.fdopen(read_end, "rb") as ready:
        line = await asyncio.to_thread(ready.readline)
    if not line:
        raise SupervisorUnavailable("The supervisor ended before it was ready.", f"See {folder.log}")
    answer = json.loads(line)
    if "error" in answer:
        raise _error(answer["error"])


async def _run_starter(command: list[str], ready: int, log: int) -> int:
    """The exit status of a process that forks once more and leaves, so that the supervisor is nobody's child."""
    process = await asyncio.to_thread(
        subprocess.Popen,
        command,
        pass_fds=[ready],
        env=supervisor_environment(),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    return await asyncio.to_thread(process.wait)


def _scope() -> list[str]:
    if os.geteuid() == 0:
        return []
    from ..sandbox.limits import scope

    return scope.command(scope.look(os.environ), secrets.token_hex(6))


@contextmanager
def _flocked(fd: int) -> Generator[None, None, None]:
    try:
        yield
    finally:
        os.close(fd)


def _flock(folder: SessionFolder, name: str) -> Any:
    fd = os.open(folder.internals / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return _flocked(fd)


def _error(described: dict[str, str]) -> GatewayError:
    """The supervisor's error as the class it was there."""
    known = getattr(errors, described["type"], GatewayError)
    error = known.__new__(known)
    GatewayError.__init__(error, described["message"], described["next"])
    return error


def _gone(folder: SessionFolder) -> SupervisorUnavailable:
    return SupervisorUnavailable(
        f"The supervisor of {folder.id} ended.", "What it acknowledged is recorded; run the command again to go on."
    )
