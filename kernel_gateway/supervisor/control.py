"""The control socket: JSON lines from our own front ends. docs/architecture.md lists the operations."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

from .. import __version__
from ..egress.hosts import MODES, host_name
from ..errors import BadRequest, GatewayError
from ..journal import clean, externalize
from ..notebook.setup import needs
from .egress import Egress
from .execution import Execution
from .run import cell_id, from_request
from .runs import LINE_LIMIT, Output, RunRequest

RECORDABLE = frozenset(
    {"prompt", "words", "request", "message", "turn", "input", "files", "notice", "replayed", "edit"}
)

# A front end that leaves this much unread gets no more outputs of its run; at the end it reads them from the journal.
UNREAD_BYTES = 8 * 1024**2

# False when it was not sent.
Send = Callable[[dict[str, Any]], bool]


class ControlServer:
    """Answers one connection after another line by line; operations of one connection may overlap."""

    def __init__(
        self,
        execution: Execution,
        egress: Egress,
        facts: dict[str, Any],
        build_notebook: Callable[[], Awaitable[str | None]],
        stop: Callable[[], None],
    ) -> None:
        self._execution, self._egress, self._facts = execution, egress, facts
        self._build_notebook, self._stop = build_notebook, stop
        self._server: asyncio.AbstractServer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._operations: dict[str, Callable[[dict[str, Any], Send], Awaitable[dict[str, Any]]]] = {
            "hello": self._hello,
            "claim": self._claim,
            "run": self._run,
            "restart": self._run,
            "interrupt": self._interrupt,
            "record": self._record,
            "notebook": self._notebook,
            "notify": self._notify,
            "stats": self._stats,
            "freeze": self._freeze,
            "stop": self._stop_session,
            "allow": self._allow,
            "cut": self._cut,
            "questions": self._questions,
            "answer": self._answer_question,
        }

    async def listen(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path, limit=LINE_LIMIT)
        path.chmod(0o600)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def send(answer: dict[str, Any]) -> bool:
            is_slow = writer.transport.get_write_buffer_size() > UNREAD_BYTES
            if writer.is_closing() or (is_slow and answer.get("event") == "output"):
                return False
            writer.write(_line(answer))
            return True

        gone = asyncio.Event()
        try:
            while line := await reader.readline():
                task = asyncio.create_task(self._answer(line, send, gone))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except (ConnectionError, ValueError):
            pass
        finally:
            gone.set()
            writer.close()

    async def _answer(self, line: bytes, send: Send, gone: asyncio.Event) -> None:
        number: Any = None
        try:
            request: dict[str, Any] = {**orjson.loads(line), "gone": gone}
            number = request["id"]
            operation = self._operations[request["op"]]
            send({"id": number, "done": True, **await operation(request, lambda event: send({"id": number, **event}))})
        except GatewayError as error:
            send({"id": number, "error": _describe(error)})
        except (KeyError, TypeError, ValueError) as error:
            send({"id": number, "error": _describe(BadRequest(f"Not a request this supervisor knows: {error!r}."))})

    async def _hello(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        execution = self._execution
        if request.get("replay") and execution.kernel is None:
            await execution.generations.ensure(replay=True)
        elif request.get("kernel"):
            await execution.generations.ensure()
        kernel = execution.kernel
        state = "dead" if kernel is None else "busy" if execution.running else "frozen" if kernel.is_frozen else "idle"
        running = execution.running.request.run if execution.running else None
        return {
            **self._facts,
            "version": __version__,
            "session": execution.folder.id,
            "path": str(execution.folder.path),
            "generation": execution.generations.number,
            "state": state,
            "running": running,
            "names": execution.generations.names,
        }

    async def _claim(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        self._execution.claim(Path(request["path"]))
        return {}

    async def _run(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        """The outputs stream as they are recorded; the last answer is the end record."""
        wanted = _run_request(request)
        session = self._execution.kernel.session if self._execution.kernel else ""
        asked = from_request(wanted, session, restart=request["op"] == "restart", hidden=wanted.hidden, counts=True)
        run = self._execution.submit(asked)
        left_out = False

        def on_output(batch: list[Output]) -> None:
            nonlocal left_out
            left_out = not send({"event": "output", "outputs": batch}) or left_out

        run.listeners.append(on_output)
        try:
            end = await asyncio.shield(run.done)
        finally:
            run.listeners.remove(on_output)
        # Whether every output was streamed here; a run that was known before began without this connection.
        return {"end": end, "seq": end["seq"], "complete": run is asked and run.record is not None and not left_out}

    async def _interrupt(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        return {"interrupted": self._execution.interrupt(request["run"])}

    async def _record(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        kind, fields = request["kind"], request["fields"]
        if kind not in RECORDABLE or not isinstance(fields, dict) or {"seq", "kind", "time", "crc"} & set(fields):
            raise BadRequest(f"A front end may not record {kind!r}.")
        journal = self._execution.journal
        record = journal.append(kind, **externalize(fields, journal.blobs))
        journal.sync()
        self._execution.router.changed.set()
        return {"seq": record["seq"]}

    async def _notebook(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        self._egress.record()
        return {"notice": await self._build_notebook()}

    async def _notify(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        """What the next run's caller is told with its end, in place of what waited to be told."""
        self._execution.generations.pending_notice = str(request["text"])[:20_000] or None
        return {}

    async def _freeze(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        return {"frozen": await self._execution.freeze()}

    async def _stats(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        execution = self._execution
        kernel = execution.kernel
        sandbox = dict(await kernel.sandbox.stats()) if kernel else {}
        return {
            "sandbox": sandbox,
            "dropped": execution.router.dropped,
            "rejected": kernel.rejected if kernel else 0,
            "damaged_lines": execution.journal.damaged,
        }

    async def _allow(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        host, mode, methods = host_name(str(request["host"])), request["mode"], [str(m) for m in request["methods"]]
        if mode not in MODES:
            raise BadRequest(f"A host is allowed as {' or '.join(MODES)}, not as {mode!r}.")
        return {"rule": self._egress.allow(host, mode, methods, str(request["by"])).to_json()}

    async def _cut(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        await self._egress.cut(str(request["by"]), undo=bool(request.get("undo")))
        return {}

    async def _questions(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        """Questions about the network go to this front end until it goes; it answers each with ``answer``."""
        leave = self._egress.attend(send)
        try:
            await request["gone"].wait()
        finally:
            leave()
        return {}

    async def _answer_question(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        is_allowed = request["allow"] is True
        return {"taken": self._egress.answer(str(request["question"]), is_allowed=is_allowed, by=str(request["by"]))}

    async def _stop_session(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        self._stop()
        return {}


def _run_request(request: dict[str, Any]) -> RunRequest:
    source = str(request["source"])
    return RunRequest(
        run=str(request["run"]),
        cell=cell_id(str(request["cell"])),
        source=source,
        author="person" if request.get("author") == "person" else "model",
        tool=str(request.get("tool", "python")),
        turn=request.get("turn"),
        tool_use_id=request.get("tool_use_id"),
        timeout=None if request.get("timeout") is None else float(request["timeout"]),
        needs=tuple(dict.fromkeys([*(request.get("needs") or ()), *needs(source)])),
        tags=tuple(request.get("tags") or ()),
        hidden=request.get("hidden") is True,
        pins=tuple(str(pin) for pin in request.get("pins") or ()),
    )


def _line(answer: dict[str, Any]) -> bytes:
    option = orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
    try:
        return orjson.dumps(answer, option=option, default=str)
    except TypeError:
        # What a kernel sent may hold lone surrogates and more; the journal has it in the same form.
        return orjson.dumps(clean(answer), option=option)


def _describe(error: GatewayError) -> dict[str, str]:
    return {"type": type(error).__name__, "message": error.message, "next": error.next_step}
