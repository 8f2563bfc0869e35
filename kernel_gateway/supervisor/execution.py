"""The heart of a session: one queue of runs, each recorded from its start to its end, and answered when that is on disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import BadRequest, DiskFull, GatewayError, KernelDied
from ..journal import Journal, Record
from ..session.folder import SessionFolder
from ..session.policy import Policy
from ..session.usage import Usage, usage_of
from .disk import Verdict
from .environment import describe
from .generations import Generations, Place, marker_request
from .history import read_history
from .idle import Glance
from .kernel import Kernel
from .messages import Message, compose
from .packages import Packages
from .recorder import RunRecord
from .recorder import execution_count as checked_count
from .routing import Clients, Router
from .run import Run, from_request, reply_for_client, start_fields

# After the interrupt message, and after the signal: then the kernel is killed.
MESSAGE_SECONDS = 1.0
SIGNAL_SECONDS = 5.0


class Execution:
    """All that happens to a session's runs. Nothing here blocks for long."""

    def __init__(self, place: Place, journal: Journal, clients: Clients) -> None:
        self.place, self.journal = place, journal
        self.policy = Policy.from_json(place.values["policy"])
        self._clients = clients
        self.router = Router(clients)
        history = read_history(journal)
        self._ends = history.ends
        self.generations = Generations(place, journal, history, self.router, self._run_in_kernel)
        self._packages = Packages(place.image, place.egress)
        self._queue: asyncio.Queue[Run] = asyncio.Queue()
        self._active: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        # Told before the kernel gets a run, and when its end is recorded.
        self.on_begin: Callable[[Run], None] = lambda run: None
        self.on_end: Callable[[Run], None] = lambda run: None
        if history.is_new:
            self._write_session_record()

    @property
    def folder(self) -> SessionFolder:
        return self.place.folder

    @property
    def kernel(self) -> Kernel | None:
        return self.generations.kernel

    @property
    def running(self) -> Run | None:
        return self.router.running

    def _write_session_record(self) -> None:
        values, image = self.place.values, self.place.image
        known = ("session", "created", "version", "owner", "policy", "engine", "model", "origin")
        fields: dict[str, Any] = {k: values[k] for k in known if k in values}
        fields["image"] = {"name": image.name, "digest": image.digest, "recipe": image.recipe}
        is_bubblewrap = values.get("engine") == "bubblewrap"
        fields["environment"] = describe(image, self.policy.cpus, shows_machine=is_bubblewrap)
        self.journal.append("session", format=1, **fields)
        self.journal.sync()

    def claim(self, path: Path) -> None:
        """The folder was renamed: a ready sandbox has become this session. Raises BadRequest when it is not the same folder."""
        folder = SessionFolder(path)
        if not folder.internals.is_dir() or not folder.journal.samefile(f"/proc/self/fd/{self.journal.fileno()}"):
            raise BadRequest(f"{path} is not the folder of this supervisor.")
        self.place.folder, self.place.values = folder, folder.read()
        self.journal.move(folder.journal)
        self._write_session_record()
        self.router.changed.set()

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
            self._spawn(self.generations.kill(self.kernel, "stopped"))
        return run

    def restart(self) -> None:
        """A fresh kernel, asked for by a Jupyter client: what runs is stopped."""
        self.submit(from_request(marker_request(self.generations.number + 1), "", restart=True))

    def interrupt(self, key: str | None, *, by: str = "person", reason: str | None = None) -> bool:
        """Stop that run, or the one running when ``key`` is None. A queued one is taken out. ``reason`` is told with its end."""
        run = self.running if key is None else self._active.get(key)
        if run is None or run.done.done():
            return False
        run.stopping, run.stop_reason = "interrupted", reason
        run.stop_requested.set()
        with contextlib.suppress(DiskFull):
            self.journal.append("interrupt", run=run.request.run, by=by)
        return True

    async def glance(self) -> Glance:
        """For the watch over idle sessions."""
        used = (await self.kernel.sandbox.stats()).get("cpu_milliseconds", 0) / 1000 if self.kernel is not None else 0.0
        is_running = bool(self._active) or bool(self.place.values.get("generic"))
        return Glance(asyncio.get_running_loop().time(), self.journal.seq, is_running, used)

    async def freeze(self) -> bool:
        """Stop the idle kernel's processes until the next message; False when there is none, or a cell runs."""
        if self.kernel is None or self._active:
            return False
        if not self.kernel.is_frozen:
            await self.kernel.freeze()
        return True

    async def measure_disk(self) -> Usage:
        """What the session's folders hold now."""
        return await asyncio.to_thread(usage_of, [self.folder.path], self.policy.disk)

    def on_disk(self, found: Verdict, text: str) -> None:
        """The disk limit is reached: the cell that goes on writing is interrupted, a program without a cell is killed."""
        if found == "interrupt":
            self.interrupt(None, by="disk limit", reason=text)
        elif found == "kill" and self.kernel is not None:
            self._spawn(self.generations.kill(self.kernel, "disk limit"))
        else:
            self.generations.pending_notice = text

    def pass_on(self, channel: str, message: Message) -> None:
        """Any other request: to the kernel as it is; its answer goes back to the asking identity."""
        self.router.remember(message)
        if self.kernel is not None:
            self.kernel.send(channel, message)
        else:
            self._spawn(self._pass_on_when_alive(channel, message))

    async def _pass_on_when_alive(self, channel: str, message: Message) -> None:
        try:
            (await self.generations.ensure()).send(channel, message)
        except GatewayError:
            self.router.forget(message)

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
            self.router.changed.set()

    # One run

    async def _execute(self, run: Run) -> None:
        if run.stop_requested.is_set():
            return self._record_aborted(run)
        if run.restart:
            await self.generations.discard()
        await self.generations.ensure(marker=not run.restart)
        for language in run.request.needs:
            await self.generations.ensure_setup(language)
        await self._run_in_kernel(run)
        return None

    async def _run_in_kernel(self, run: Run, **extra: Any) -> None:
        loop, kernel = asyncio.get_running_loop(), self.kernel
        if kernel is None:
            raise KernelDied("crash", "It ended before the cell could start.")
        self._record_start(run, kernel, extra)
        self._packages.began(self.folder, run.request.pins)
        self.router.running, began = run, loop.time()
        self.on_begin(run)
        try:
            kernel.send("shell", run.message)
            await self._until_finished(run, kernel)
            self._record_end(run, loop.time() - began)
        finally:
            self.router.running = None
            self._packages.ended()
            self.on_end(run)
        if run.stopping is not None and self.kernel is kernel and not await kernel.round_trip(SIGNAL_SECONDS):
            # Whatever it still does, the next cell must not be hit by it.
            await self.generations.kill(kernel, run.stopping)
        elif run.exit() != "ok" and self.kernel is kernel:
            # Only a cell that succeeds tells its names with the reply.
            self.generations.names = await kernel.names(SIGNAL_SECONDS) or self.generations.names

    def _record_start(self, run: Run, kernel: Kernel, extra: dict[str, Any]) -> None:
        self.journal.append("start", **start_fields(run, kernel.generation), **extra)
        self.router.begin(run, RunRecord(self.journal, run.request, self.policy, lambda: self.folder.outputs))
        self.generations.has_cells |= not (run.hidden or extra)

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
        await self.generations.kill(kernel, run.stopping or "timeout")
        await run.finished.wait()

    def _record_end(self, run: Run, duration: float) -> None:
        assert run.record is not None
        reply, names = (None, None) if run.reply is None else reply_for_client(run.reply)
        fields = run.record.finish()
        content: dict[str, Any] = {} if reply is None else reply.content
        if names is not None and names != self.generations.names:
            fields["names"] = self.generations.names = names
        for key in ("ename", "evalue"):
            if isinstance(content.get(key), str):
                fields[key] = content[key][:2000]
        pending = None if run.hidden or run.internal else self.generations.pending_notice
        notices = [n for n in (pending, run.stop_reason, run.death, fields.get("notice")) if n]
        if pending:
            self.generations.pending_notice = None
        if notices:
            fields["notice"] = " ".join(notices)
        if (packages := self._packages.delta(self.folder)) is not None:
            fields["packages"] = packages
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
        self.journal.append("start", **start_fields(run, self.generations.number))
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

    async def stop(self) -> None:
        """End the kernel, and with it the running cell, which is recorded as stopped. Nothing starts any more."""
        await self.generations.stop()
        if (run := self.running) is not None:
            await asyncio.wait([run.done], timeout=SIGNAL_SECONDS)
        for task in self._tasks:
            task.cancel()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _within(awaitable: Any, seconds: float) -> bool:
    try:
        await asyncio.wait_for(awaitable, seconds)
    except asyncio.TimeoutError:
        return False
    return True
