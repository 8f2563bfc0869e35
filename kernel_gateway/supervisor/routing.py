"""What a kernel says, and to whom it belongs: a run, a client that asked, or nobody. Nothing here is believed without a check."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from .messages import BadMessage, Message, compose
from .recorder import RunRecord, output_of
from .run import Run
from .runs import Output
from .zmtp import MESSAGE_BYTES

FLUSH_SECONDS = 0.1
REMEMBERED_REQUESTS = 10_000
_TOO_LARGE = f"A message of the kernel was over {MESSAGE_BYTES // 1024**2} MB."


class Clients(Protocol):
    """Where answers go: the supervisor's own sockets."""

    def publish(self, message: Message) -> None: ...

    def reply(self, channel: str, message: Message) -> None: ...


class Router:
    """Known parents are the requests that were forwarded: those of runs, and those that were only passed on."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._running: Run | None = None
        # Called when a run begins or ends.
        self.on_turn: list[Callable[[], None]] = []
        # Messages whose parent is no request of ours: forged, foreign or of an earlier generation.
        self.dropped = 0
        # Messages over `zmtp.MESSAGE_BYTES`.
        self.too_large = 0
        # Set when something was recorded: the notebook is behind.
        self.changed = asyncio.Event()
        self._runs: dict[str, Run] = {}
        self._passed: OrderedDict[str, list[bytes]] = OrderedDict()
        # Sessions of our own questions to the kernel.
        self._own: set[str] = set()

    @property
    def running(self) -> Run | None:
        return self._running

    @running.setter
    def running(self, run: Run | None) -> None:
        self._running = run
        for turned in self.on_turn:
            turned()

    def begin(self, run: Run, record: RunRecord) -> None:
        """Outputs with this run's parent go to its record, for as long as its kernel lives: late ones too."""
        run.record = record
        record.listeners = [lambda batch: self._relay_streams(run, batch), *run.listeners]
        run.listeners = record.listeners
        self._runs[run.message.id] = run

    def remember(self, message: Message) -> None:
        """A request that is passed on: its answer goes back to the asking identity."""
        self._passed[message.id] = list(message.identities)
        while len(self._passed) > REMEMBERED_REQUESTS:
            self._passed.popitem(last=False)

    def forget(self, message: Message) -> None:
        self._passed.pop(message.id, None)

    def generation(self, own_session: str) -> None:
        """A new kernel: nothing that an earlier one said late belongs anywhere."""
        self._runs.clear()
        self._own = {own_session}

    def bury(self, notice: str, *, is_last: bool = False) -> None:
        """The kernel died: the run that was running ends with it, and clients are told. After the last one there is no other."""
        self._runs.clear()
        if self.running is not None:
            self.running.death = notice
            self.running.notice()
        self._clients.publish(compose("status", "", {"execution_state": "dead" if is_last else "restarting"}))
        self.changed.set()

    def on_reply(self, channel: str, message: Message) -> None:
        run = self._runs.get(message.parent_id)
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

    def on_too_large(self, channel: str, frames: list[bytes]) -> None:
        """A message that was passed over. Its signature covers what nobody has read, so it is only counted, or fails the run."""
        run, self.too_large = self.running, self.too_large + 1
        if run is None or run.record is None:
            return
        if channel == "shell" and run.reply is None:
            content = {"status": "error", "ename": "ReplyTooLarge", "evalue": _TOO_LARGE, "traceback": [_TOO_LARGE]}
            run.reply = compose("execute_reply", "", content, run.message.frames[0])
            run.notice()
        elif channel == "iopub":
            run.record.leave_out()

    def _on_input_request(self, message: Message) -> None:
        run = self.running
        if run is None or run.origin is None or not run.origin.allow_stdin:
            self.dropped += 1
            return
        self._clients.reply("stdin", Message(message.frames, list(run.origin.identities)))

    def on_iopub(self, message: Message) -> None:
        run = self._runs.get(message.parent_id)
        try:
            if run is not None:
                self._on_run_message(run, message)
            elif message.parent_id in self._passed:
                self._clients.publish(message)
            elif message.parent.get("session") not in self._own:
                # What our own questions cause is nobody's; all else is foreign or forged, but for the kernel's first words.
                self.dropped += message.kind not in ("iopub_welcome", "status")
        except BadMessage:
            self.dropped += 1

    def _on_run_message(self, run: Run, message: Message) -> None:
        assert run.record is not None
        if message.kind == "status":
            return self._on_status(run, message)
        output = output_of(message.kind, message.content)
        is_stream = output is not None and output["output_type"] == "stream"
        if not is_stream:
            # Streams are relayed in batches: what came before goes out before.
            run.record.flush()
        is_kept = output is None or run.record.add(output)
        if is_kept and not is_stream:
            self._clients.publish(Message([message.frames[0], run.message.frames[0], *message.frames[2:]]))
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
