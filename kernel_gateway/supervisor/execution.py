"""The heart of a session: one queue of runs, one kernel at a time, each run recorded from its start to its end."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import zmq

from ..errors import BadRequest, GatewayError, KernelDied
from ..image.store import Image
from ..journal import Journal, Record
from ..notebook.setup import bash_cell, node_cell, restart_cell, setup_cell
from ..sandbox.engine import Engine, Exit
from ..session.folder import SessionFolder
from ..session.policy import Policy
from .death import cause_of, death_notice, resume_notice
from .environment import describe
from .kernel import Kernel, start_kernel, until_ready
from .messages import BadMessage, Message, compose
from .recorder import RunRecord, open_runs, output_of
from .recorder import execution_count as checked_count
from .run import Run, from_request, reply_for_client
from .runs import Output, RunRequest

FLUSH_SECONDS = 0.1
# After the interrupt message, and after the signal: then the kernel is killed.
MESSAGE_SECONDS = 1.0
SIGNAL_SECONDS = 5.0
REMEMBERED_REQUESTS = 10_000

SETUP_SOURCES: dict[str, Callable[[], str]] = {"setup": setup_cell, "bash": bash_cell, "node": node_cell}


class Clients(Protocol):
    """Where answers go: the supervisor's own sockets."""

    def publish(self, message: Message) -> None: ...

    def reply(self, channel: str, message: Message) -> None: ...


class Execution:
    """All state of a live session. Nothing here blocks for long, and nothing the kernel says is believed without a check."""

    def __init__(
        self,
        folder: SessionFolder,
        journal: Journal,
        engine: Engine,
        image: Image,
        runtime: Path,
        context: zmq.Context[zmq.Socket[bytes]],
        clients: Clients,
    ) -> None:
        self.folder, self.journal = folder, journal
        self.values = folder.read()
        self.policy = Policy.from_json(self.values["policy"])
        self._engine, self._image, self._runtime, self._context = engine, image, runtime, context
        self._clients = clients
        self.kernel: Kernel | None = None
        self.running: Run | None = None
        self.names: list[str] = []
        # iopub messages whose parent is no request of ours: forged, foreign or of an earlier generation.
        self.dropped = 0
        # Told to whoever runs next: a death between two runs, or a resume.
        self._pending_notice: str | None = None
        self._queue: asyncio.Queue[Run] = asyncio.Queue()
        self._active: dict[str, Run] = {}
        self._by_message: dict[str, Run] = {}
        self._passed: OrderedDict[str, list[bytes]] = OrderedDict()
        self._starting = asyncio.Lock()
        self._kill_cause: str | None = None
        self._died = self._stopped = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self.changed = asyncio.Event()
        self._read_history()

    # History

    def _read_history(self) -> None:
        records = self.journal.records
        self.generation = max((r["generation"] for r in records if r["kind"] == "kernel"), default=0)
        self._ends = {r["run"]: r for r in records if r["kind"] == "end"}
        self._recorded_setups = {r["source_kind"] for r in records if r["kind"] == "start" and r.get("source_kind")}
        self._has_cells = any(
            r["kind"] == "start" and not r.get("hidden") and not r.get("source_kind") for r in records
        )
        self.names = next((r["names"] for r in reversed(records) if r["kind"] in ("end", "death") and "names" in r), [])
        self._setups: set[str] = set()
        if not records:
            self._write_session_record()
        self._close_open_runs(open_runs(records))
        # Blobs and outputs of a long session need not stay in memory.
        self.journal.records = []

    def _write_session_record(self) -> None:
        known = ("session", "created", "version", "owner", "policy", "engine", "image", "model")
        fields: dict[str, Any] = {k: self.values[k] for k in known if k in self.values}
        fields["image"] = {"name": self._image.name, "digest": self._image.digest, "recipe": self._image.recipe}
        fields["environment"] = describe(self._image)
        self.journal.append("session", format=1, **fields)
        self.journal.sync()

    def claim(self, path: Path) -> None:
        """The folder was renamed: a ready sandbox has become this session. Raises BadRequest when it is not the same folder."""
        folder = SessionFolder(path)
        if not folder.internals.is_dir() or not folder.journal.samefile(f"/proc/self/fd/{self.journal.fileno()}"):
            raise BadRequest(f"{path} is not the folder of this supervisor.")
        self.folder, self.values = folder, folder.read()
        self.journal.move(folder.journal)
        self._write_session_record()
        self.changed.set()

    def _close_open_runs(self, starts: list[Record]) -> None:
        """A started run without an end is ``died``: it is never repeated by itself (P7)."""
        if not starts:
            return
        notice = death_notice("recorder lost", "The session's supervisor ended while this cell ran.", self.names)
        self.journal.append(
            "death",
            reserved=True,
            generation=self.generation,
            cause="recorder lost",
            detail="",
            run=starts[-1]["run"],
            names=self.names,
        )
        for start in starts:
            end = self.journal.append("end", reserved=True, run=start["run"], exit="died", notice=notice, duration=0.0)
            self._ends[start["run"]] = end
        self.journal.sync()

    # Requests

    def submit(self, run: Run) -> Run:
        """Queue a run, or return the one that has its key already: it executes at most once."""
        key = run.request.run
        if (known := self._active.get(key)) is not None:
            return known
        if (end := self._ends.get(key)) is not None:
            run.done.set_result(end)
            self._answer_again(run, end)
            return run
        self._active[key] = run
        self._queue.put_nowait(run)
        if run.restart and self.running is not None and self.kernel is not None:
            self._spawn(self._kill(self.kernel, "stopped"))
        return run

    def restart(self) -> None:
        """A fresh kernel, asked for by a Jupyter client: what runs is stopped."""
        self.submit(from_request(marker_request(self.generation + 1), "", restart=True))

    def interrupt(self, key: str | None) -> bool:
        """Stop that run, or the one running when ``key`` is None. A queued one is taken out."""
        run = self.running if key is None else self._active.get(key)
        if run is None or run.done.done():
            return False
        self.journal.append("interrupt", run=run.request.run, by="person")
        run.stopping = "interrupted"
        run.stop_requested.set()
        return True

    def pass_on(self, channel: str, message: Message) -> None:
        """Any other request: to the kernel as it is; its answer goes back to the asking identity."""
        self._passed[message.id] = list(message.identities)
        while len(self._passed) > REMEMBERED_REQUESTS:
            self._passed.popitem(last=False)
        if self.kernel is not None:
            self.kernel.send(channel, message)
        else:
            self._spawn(self._pass_on_when_alive(channel, message))

    async def _pass_on_when_alive(self, channel: str, message: Message) -> None:
        try:
            (await self.ensure_kernel()).send(channel, message)
        except GatewayError:
            self._passed.pop(message.id, None)

    def answer_input(self, message: Message) -> None:
        """An input_reply counts only while a run that may ask is running."""
        if self.kernel is not None and self.running is not None and self.running.origin is not None:
            self.kernel.send("stdin", message)

    async def work(self) -> None:
        """Run what is queued, one after another, for ever."""
        while True:
            run = await self._queue.get()
            try:
                await self._execute(run)
            except GatewayError as error:
                self._refuse(run, error)
            self._active.pop(run.request.run, None)
            self.changed.set()

    # One run

    async def _execute(self, run: Run) -> None:
        if run.stop_requested.is_set():
            return self._record_aborted(run)
        if run.restart:
            await self._restart_kernel()
        await self.ensure_kernel(marker=not run.restart)
        for language in run.request.needs:
            await self._ensure_setup(language)
        await self._run_in_kernel(run)
        return None

    async def _run_in_kernel(self, run: Run, **extra: Any) -> None:
        loop, kernel = asyncio.get_running_loop(), self.kernel
        if kernel is None:
            raise KernelDied("crash", "It ended before the cell could start.")
        self._record_start(run, kernel, extra)
        self.running, began = run, loop.time()
        try:
            kernel.send("shell", run.message)
            await self._until_finished(run, kernel)
            self._record_end(run, loop.time() - began)
        finally:
            self.running = None
        if run.stopping is not None and self.kernel is kernel and not await kernel.round_trip(SIGNAL_SECONDS):
            # Whatever it still does, the next cell must not be hit by it.
            await self._kill(kernel, run.stopping)

    def _record_start(self, run: Run, kernel: Kernel, extra: dict[str, Any]) -> None:
        request = run.request
        optional = {
            k: getattr(request, k) for k in ("turn", "tool_use_id", "timeout") if getattr(request, k) is not None
        }
        if request.tags:
            optional["tags"] = list(request.tags)
        if run.hidden:
            optional["hidden"] = True
        self.journal.append(
            "start",
            run=request.run,
            cell=request.cell,
            source=request.source,
            author=request.author,
            tool=request.tool,
            generation=kernel.generation,
            **optional,
            **extra,
        )
        run.record = RunRecord(self.journal, request, self.policy, lambda: self.folder.outputs)
        run.record.listeners = [lambda batch: self._relay_streams(run, batch), *run.listeners]
        run.listeners = run.record.listeners
        self._by_message[run.message.id] = run
        self._has_cells = self._has_cells or not (run.hidden or extra)

    async def _until_finished(self, run: Run, kernel: Kernel) -> None:
        finished = asyncio.ensure_future(run.finished.wait())
        stop = asyncio.ensure_future(run.stop_requested.wait())
        try:
            await asyncio.wait({finished, stop}, timeout=run.request.timeout, return_when=asyncio.FIRST_COMPLETED)
            if not finished.done():
                run.stopping = run.stopping or "timeout"
                await self._stop_run(run, kernel)
        finally:
            finished.cancel()
            stop.cancel()

    async def _stop_run(self, run: Run, kernel: Kernel) -> None:
        """Interrupt by message, then by signal to the kernel's own process, then kill."""
        kernel.interrupt_by_message()
        if await _within(run.finished.wait(), MESSAGE_SECONDS):
            return
        await kernel.interrupt_by_signal()
        if await _within(run.finished.wait(), SIGNAL_SECONDS):
            return
        await self._kill(kernel, run.stopping or "timeout")
        await run.finished.wait()

    def _record_end(self, run: Run, duration: float) -> None:
        assert run.record is not None
        reply, names = (None, None) if run.reply is None else reply_for_client(run.reply)
        fields = run.record.finish()
        content: dict[str, Any] = {} if reply is None else reply.content
        if names is not None and names != self.names:
            fields["names"] = self.names = names
        for key in ("ename", "evalue"):
            if isinstance(content.get(key), str):
                fields[key] = content[key][:2000]
        pending = None if run.hidden or run.internal else self._pending_notice
        notices = [n for n in (pending, run.death, fields.get("notice")) if n]
        if pending:
            self._pending_notice = None
        if notices:
            fields["notice"] = " ".join(notices)
        fields["execution_count"] = checked_count(content.get("execution_count"))
        self._end(run, run.exit(), duration, fields)
        self._answer(run, reply)

    def _end(self, run: Run, exit_: str, duration: float, fields: dict[str, Any]) -> None:
        end = self.journal.append(
            "end", reserved=True, run=run.request.run, exit=exit_, duration=round(duration, 6), **fields
        )
        self.journal.sync()
        self._ends[run.request.run] = end
        if not run.done.done():
            run.done.set_result(end)

    def _answer(self, run: Run, reply: Message | None) -> None:
        """The acknowledgement: only now, after the end is on disk, does a client get its reply, then idle."""
        header = run.message.frames[0]
        if run.origin is not None:
            if reply is None:
                content = {
                    "status": "error",
                    "ename": "KernelDied",
                    "evalue": run.death or "",
                    "traceback": [run.death or ""],
                }
                self._clients.publish(compose("error", "", content, header))
                reply = compose("execute_reply", "", {**content, "execution_count": 0}, header)
            self._clients.reply(
                "shell", Message([reply.frames[0], header, *reply.frames[2:]], list(run.origin.identities))
            )
        self._clients.publish(compose("status", "", {"execution_state": "idle"}, header))
        if run.origin is not None and run.origin.stop_on_error and run.exit() not in ("ok",):
            self._abort_queued(run.origin.session)

    def _answer_again(self, run: Run, end: Record) -> None:
        """A client that repeats a request after a reconnect gets the recorded end; nothing runs."""
        if run.origin is None:
            return
        status = end["exit"] if end["exit"] in ("ok", "aborted") else "error"
        content = {"status": status, "execution_count": end.get("execution_count") or 0, "user_expressions": {}}
        if status == "error":
            content |= {"ename": end.get("ename", end["exit"]), "evalue": end.get("evalue", ""), "traceback": []}
        header = run.message.frames[0]
        self._clients.reply("shell", compose("execute_reply", "", content, header, list(run.origin.identities)))
        self._clients.publish(compose("status", "", {"execution_state": "idle"}, header))

    def _abort_queued(self, session: str) -> None:
        """What the same client had queued behind a failed cell does not run (stop_on_error of the protocol)."""
        waiting = [self._queue.get_nowait() for _ in range(self._queue.qsize())]
        for run in waiting:
            if run.origin is not None and run.origin.session == session and not run.hidden:
                self._record_aborted(run)
                self._active.pop(run.request.run, None)
            else:
                self._queue.put_nowait(run)

    def _record_aborted(self, run: Run) -> None:
        request = run.request
        self.journal.append(
            "start",
            run=request.run,
            cell=request.cell,
            source=request.source,
            author=request.author,
            tool=request.tool,
            generation=self.generation,
            hidden=run.hidden,
        )
        self._end(run, "aborted", 0.0, {})
        if run.origin is not None:
            reply = compose(
                "execute_reply", "", {"status": "aborted"}, run.message.frames[0], list(run.origin.identities)
            )
            self._clients.reply("shell", reply)

    def _refuse(self, run: Run, error: GatewayError) -> None:
        """It never started, or its start could not be recorded: nothing is in the journal, its key may be tried again."""
        if not run.done.done():
            run.done.set_exception(error)
            run.done.exception()
        if run.origin is not None:
            content = {
                "status": "error",
                "ename": type(error).__name__,
                "evalue": str(error),
                "traceback": [str(error)],
            }
            header = run.message.frames[0]
            self._clients.publish(compose("error", "", content, header))
            reply = compose("execute_reply", "", {**content, "execution_count": 0}, header, list(run.origin.identities))
            self._clients.reply("shell", reply)
            self._clients.publish(compose("status", "", {"execution_state": "idle"}, header))

    # The kernel

    async def ensure_kernel(self, *, marker: bool = True) -> Kernel:
        """The live kernel; a new generation when there is none, with its setup cells and, after a death, the restart marker."""
        async with self._starting:
            if self._stopped:
                raise KernelDied("stopped", "The session is being stopped.")
            if self.kernel is not None and self.kernel.ended:
                await self.kernel.buried.wait()
            if self.kernel is None:
                await self._start_generation(marker)
            if self.kernel is None:
                raise KernelDied("crash", "It ended while its setup cells ran.")
            return self.kernel

    async def _start_generation(self, marker: bool) -> None:
        resumed = self.generation > 0
        cause = "start" if not resumed else "restart" if not marker else "death" if self._died else "resume"
        kernel = await start_kernel(
            self.generation + 1, self._engine, self._image, self.folder, self._runtime, self.values
        )
        self.generation += 1
        kernel.connect(self._context, self._on_reply, self._on_iopub)
        try:
            await until_ready(kernel)
            facts: dict[str, Any] = {"engine": self._engine.name, "isolation": dict(kernel.isolation)}
            self.journal.append("kernel", generation=kernel.generation, cause=cause, **facts)
        except BaseException:
            await kernel.stop()
            raise
        self.kernel, self._kill_cause = kernel, None
        self._spawn(self._watch(kernel))
        await self._prepare(marker=marker and resumed and self._has_cells, cause=cause)

    async def _prepare(self, *, marker: bool, cause: str) -> None:
        """Setup cells first; after a death or a resume also the marker, so that a re-run forgets what was lost here."""
        lost = self.names
        languages = [k for k in ("bash", "node") if k in self._recorded_setups] if self.generation > 1 else []
        self._setups.clear()
        for kind in ("setup", *languages):
            await self._ensure_setup(kind)
        if marker and cause == "resume":
            self._pending_notice = resume_notice(lost)
        if marker:
            await self._run_in_kernel(from_request(marker_request(self.generation), self._session_id(), internal=True))
        self._died = False

    async def _ensure_setup(self, kind: str) -> None:
        """The setup cell of a language: a visible cell the first time in the session, silent in later generations."""
        if kind in self._setups:
            return
        hidden = kind in self._recorded_setups
        name = f"setup-{kind}" + (f"-g{self.generation}" if hidden else "")
        request = RunRequest(name, f"setup-{kind}", SETUP_SOURCES[kind](), tool="setup", tags=("kernel-gateway-setup",))
        run = from_request(request, self._session_id(), hidden=hidden, internal=True)
        await self._run_in_kernel(run, source_kind=kind)
        self._setups.add(kind)
        self._recorded_setups.add(kind)

    def _session_id(self) -> str:
        return self.kernel.session if self.kernel is not None else ""

    async def _restart_kernel(self) -> None:
        if (kernel := self.kernel) is not None:
            self.kernel, self.names = None, []
            await kernel.stop()

    async def _watch(self, kernel: Kernel) -> None:
        exit_ = await kernel.sandbox.wait()
        await kernel.last_words()
        if self.kernel is kernel:
            self._on_death(kernel, exit_)
        kernel.buried.set()

    async def _kill(self, kernel: Kernel, cause: str) -> None:
        self._kill_cause = cause
        await kernel.sandbox.stop()
        await kernel.buried.wait()

    def _on_death(self, kernel: Kernel, exit_: Exit) -> None:
        """Told at once, with the cause and the names that are gone, before any NameError (P6)."""
        self.kernel, self._died = None, True
        cause, detail = cause_of(exit_, self._kill_cause)
        notice = death_notice(cause, detail, self.names)
        run = self.running
        self.journal.append(
            "death",
            reserved=True,
            generation=kernel.generation,
            cause=cause,
            detail=detail,
            run=run.request.run if run else None,
            names=self.names,
        )
        kernel.release()
        self._by_message.clear()
        self.names = []
        if run is not None:
            run.death = notice
            run.notice()
        else:
            self._pending_notice = notice
            self.journal.sync()
        self._clients.publish(compose("status", "", {"execution_state": "restarting"}))
        self.changed.set()

    async def stop(self) -> None:
        """End the kernel, and with it the running cell, which is recorded as stopped. Nothing starts any more."""
        self._stopped = True
        # A sandbox that is just being made is made first: half of one is harder to end.
        async with self._starting:
            kernel = self.kernel
        if kernel is not None:
            await self._kill(kernel, "stopped")
        if (run := self.running) is not None:
            await asyncio.wait([run.done], timeout=SIGNAL_SECONDS)
        for task in self._tasks:
            task.cancel()

    # What the kernel says

    def _on_reply(self, channel: str, message: Message) -> None:
        run = self._by_message.get(message.parent_id)
        if channel == "stdin":
            return self._on_input_request(message)
        if run is not None and run is self.running and message.kind == "execute_reply" and run.reply is None:
            try:
                _ = message.content
            except BadMessage:
                self.dropped += 1
                return None
            run.reply = message
            return run.notice()
        if (identities := self._passed.get(message.parent_id)) is not None:
            return self._clients.reply(channel, Message(message.frames, identities))
        self.dropped += 1
        return None

    def _on_input_request(self, message: Message) -> None:
        run = self.running
        if run is None or run.origin is None or not run.origin.allow_stdin:
            self.dropped += 1
            return
        self._clients.reply("stdin", Message(message.frames, list(run.origin.identities)))

    def _on_iopub(self, message: Message) -> None:
        run = self._by_message.get(message.parent_id)
        try:
            if run is not None:
                self._on_run_message(run, message)
            elif message.parent_id in self._passed:
                self._clients.publish(message)
            elif self.kernel is None or message.parent.get("session") != self.kernel.session:
                # What our own questions cause is nobody's; all else is foreign or forged, but for the kernel's first words.
                self.dropped += message.kind not in ("iopub_welcome", "status")
        except BadMessage:
            self.dropped += 1

    def _on_run_message(self, run: Run, message: Message) -> None:
        assert run.record is not None
        if message.kind == "status":
            return self._on_status(run, message)
        output = output_of(message.kind, message.content)
        if output is None or output["output_type"] != "stream":
            # Streams are relayed in batches: what came before goes out before.
            run.record.flush()
            relayed = Message([message.frames[0], run.message.frames[0], *message.frames[2:]])
            self._clients.publish(relayed)
        if output is not None:
            run.record.add(output)
            if run.record.waiting:
                self._flush_soon(run.record)
        return None

    def _on_status(self, run: Run, message: Message) -> None:
        if message.content.get("execution_state") == "idle":
            run.idle = run.idle or message
            run.notice()
        elif run is self.running:
            self._clients.publish(Message([message.frames[0], run.message.frames[0], *message.frames[2:]]))

    def _relay_streams(self, run: Run, batch: list[Output]) -> None:
        for output in batch:
            if output["output_type"] == "stream":
                content = {"name": output["name"], "text": output["text"]}
                self._clients.publish(compose("stream", "", content, run.message.frames[0]))

    def _flush_soon(self, record: RunRecord) -> None:
        if not record.flush_scheduled:
            record.flush_scheduled = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush, record)

    def _flush(self, record: RunRecord) -> None:
        record.flush_scheduled = False
        record.flush()
        self.changed.set()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def marker_request(generation: int) -> RunRequest:
    """The restart marker that the supervisor itself puts after a death or a resume."""
    key = f"restart-g{generation}"
    return RunRequest(key, key, restart_cell(), tool="restart_kernel", tags=("kernel-gateway-restart",))


async def _within(awaitable: Any, seconds: float) -> bool:
    try:
        await asyncio.wait_for(awaitable, seconds)
    except asyncio.TimeoutError:
        return False
    return True
