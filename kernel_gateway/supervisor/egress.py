"""The way out as the supervisor has it: the socket, the proxy behind it, the audit, and what people say about it.

Nothing here reads what a sandbox wrote: that is the proxy's work, a process of its own that is started by the first connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..egress import audit
from ..egress.channel import Channel, Packet, socket_pair
from ..egress.hosts import HostRule, Mode
from ..egress.inside import relay_source
from ..egress.state import EgressState
from ..egress.upstreams import network_environment, npm_upstreams, pip_upstreams
from ..errors import BadRequest, GatewayError
from ..image.store import Image
from ..journal import Journal, now
from ..session.folder import SessionFolder
from ..session.policy import Policy
from .run import Run

COMMAND = (sys.executable, "-m", "kernel_gateway.egress.proxy")
BACKLOG = 256
# A proxy that ends sooner than this is not started again at once.
CRASH_SECONDS = 1.0
RECORD_SECONDS = 1.0
MOST_HOSTS = 500
# Of one run. Code that goes on asking wears a person out until a yes slips through.
MOST_ASKED = 20
# What the proxy gets of the environment: certificates and the machine's own proxy, no settings of packages.
_PROXY_NAMES = ("PROXY", "CERT", "CA_BUNDLE")

OnQuestion = Callable[[Packet], object]


class Session(Protocol):
    """Where the session is now; it changes when a ready sandbox is claimed."""

    @property
    def folder(self) -> SessionFolder: ...

    @property
    def values(self) -> Mapping[str, Any]: ...

    @property
    def image(self) -> Image: ...


class Egress:
    """``folder`` is to be bound read-only at ``/run/egress``: it holds the socket, and the relay's program."""

    def __init__(self, session: Session, journal: Journal, runtime: Path, command: Sequence[str] = COMMAND) -> None:
        self.folder = egress_folder(runtime)
        # Called when the journal has grown.
        self.on_record: Callable[[], None] = lambda: None
        self._session, self._journal, self._command = session, journal, command
        self._listening: socket.socket | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopped = self._is_full = self._is_cutting = False
        self._run: Packet = {"op": "run", "run": None}
        # Requests that passed and have not ended, by the proxy's number.
        self._open: dict[int, Packet] = {}
        self._sums: dict[tuple[str, str], list[int]] = {}
        self._denied = 0
        self._recording: asyncio.TimerHandle | None = None
        self._listeners: list[OnQuestion] = []
        self._questions: dict[str, Packet] = {}
        self._number = 0
        # Questions nobody answered, with the run that asked: not put again while it runs.
        self._expired: dict[tuple[str, str], Any] = {}
        # The run that asked last, and how often.
        self._asked: tuple[Any, int] = (None, 0)

    # Life

    def listen(self) -> None:
        """Bind the socket. Its place does not change for as long as the session lives."""
        uid = self._session.values.get("uid")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o755)
        (self.folder / "relay.py").write_bytes(relay_source())
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(self.folder / "socket"))
        (self.folder / "socket").chmod(0o600)
        if uid is not None and os.getuid() == 0:
            os.chown(self.folder / "socket", uid, uid)
        self._listening.listen(BACKLOG)
        self._wait_for_connection()

    async def stop(self) -> None:
        """End the proxy and write down what it had done."""
        self._is_stopped = True
        listening, self._listening = self._listening, None
        if listening is not None:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        await self._end_proxy()
        if listening is not None:
            listening.close()
        for task in self._tasks:
            task.cancel()
        self.record()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait_for_connection(self) -> None:
        if not self._is_stopped and self._listening is not None:
            asyncio.get_running_loop().add_reader(self._listening.fileno(), self._start_proxy)

    def _start_proxy(self) -> None:
        assert self._listening is not None
        asyncio.get_running_loop().remove_reader(self._listening.fileno())
        self._keeping = asyncio.create_task(self._keep_proxy(self._listening))

    async def _keep_proxy(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await self._run_proxy(listening)
        except (OSError, GatewayError) as error:
            print(f"egress: {error}", file=sys.stderr, flush=True)
        self._child = None
        self._close_open()
        self._fail_questions()
        wait = 0.0 if self._is_cutting else max(0.0, CRASH_SECONDS - (loop.time() - began))
        self._is_cutting = False
        loop.call_later(wait, self._wait_for_connection)

    async def _run_proxy(self, listening: socket.socket) -> None:
        upstreams = await asyncio.to_thread(pip_upstreams, os.environ, self._session.image.root)
        ours, theirs = socket_pair()
        self._channel = Channel(ours, self._on_packet, lambda: None)
        with theirs:
            # All of it is there before the proxy reads its first request.
            self._send_rules()
            self._send(self._run)
            self._send({"op": "pypi", "upstreams": [u.__dict__ for u in upstreams]})
            self._child = await asyncio.create_subprocess_exec(
                *self._command,
                *("--listen", str(listening.fileno()), "--control", str(theirs.fileno())),
                pass_fds=[listening.fileno(), theirs.fileno()],
                cwd="/",
                env=_proxy_environment(os.environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
            )
        if self._is_stopped or self._is_cutting:
            self._child.kill()
        await self._child.wait()
        # What it said last.
        self._channel.drain_all()
        self._channel.close()

    async def _end_proxy(self) -> None:
        if self._child is not None and self._child.returncode is None:
            self._child.kill()
        if self._keeping is not None:
            await asyncio.wait([self._keeping])

    # What the proxy is told

    def began(self, run: Run) -> None:
        """Before the kernel gets it."""
        self._run = {"op": "run", "run": run.request.run, "cell": run.request.cell}
        self._send(self._run)

    def ended(self, run: Run) -> None:
        self._run = {"op": "run", "run": None, "after": run.request.run, "cell": run.request.cell}
        self._send(self._run)

    def _send(self, packet: Packet) -> None:
        if self._channel is not None and not self._channel.send_now(packet) and self._child is not None:
            # It does not read any more: the next one begins with what is true now.
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()

    def _send_rules(self) -> None:
        state = self._state()
        mode = self.mode
        hosts = state.allowed(mode, _configured_hosts() if mode in ("list", "ask") else [])
        packet = {"op": "rules", "mode": mode, "hosts": [h.to_json() for h in hosts], "denied": sorted(state.denied)}
        self._send({**packet, "is_cut": state.is_cut or self._is_full})

    @property
    def mode(self) -> str:
        return Policy.from_json(self._session.values["policy"]).egress

    @property
    def _path(self) -> Path:
        return self._session.folder.internals / "egress.json"

    def _state(self) -> EgressState:
        return EgressState.load(self._path)

    # What the proxy says

    def _on_packet(self, packet: Packet) -> None:
        kind, number = packet["op"], packet.get("id")
        if kind == "open":
            self._open[packet["id"]] = packet["line"]
        elif kind == "progress" and number in self._open:
            self._open[packet["id"]] |= packet["line"]
        elif kind == "close":
            if number is not None:
                self._open.pop(number, None)
            self._write(packet["line"])
        elif kind == "ask":
            self._on_ask(packet)
        elif kind == "npm":
            task = asyncio.create_task(self._tell_npm())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell_npm(self) -> None:
        found = await npm_upstreams(os.environ, self._session.image.root)
        self._send({"op": "npm", "upstreams": found.to_json() if found else None})

    def _close_open(self) -> None:
        """The proxy has ended under these: by a cut, or by a fault."""
        for line in self._open.values():
            self._write({**line, "verdict": "cut"} if self._is_cutting else {**line, "rule": "the proxy ended"})
        self._open.clear()

    def _write(self, line: Packet) -> None:
        try:
            audit.append(self._session.folder.internals / "audit.jsonl", line)
        except (audit.AuditFull, OSError) as error:
            if not self._is_full:
                print(f"egress: the audit cannot be written, nothing passes any more: {error!r}", file=sys.stderr)
                self._is_full = True
                self._send_rules()
        if line.get("verdict") == "deny":
            self._denied += 1
        elif "method" in line:
            place = (line["host"], line["mode"])
            if place in self._sums or len(self._sums) < MOST_HOSTS:
                sums = self._sums.setdefault(place, [0, 0, 0])
                self._sums[place] = [sums[0] + 1, sums[1] + line["up"], sums[2] + line["down"]]
        if self._recording is None and not self._is_stopped:
            self._recording = asyncio.get_running_loop().call_later(RECORD_SECONDS, self.record)

    def record(self) -> None:
        """One journal record for what passed since the last one."""
        if self._recording is not None:
            self._recording.cancel()
            self._recording = None
        if not self._sums and not self._denied:
            return
        hosts = [
            {"host": host, "mode": mode, "requests": sums[0], "up": sums[1], "down": sums[2]}
            for (host, mode), sums in self._sums.items()
        ]
        try:
            self._journal.append("egress", hosts=hosts, denied=self._denied)
        except GatewayError:
            return
        self._sums.clear()
        self._denied = 0
        self.on_record()

    # What people say

    def allow(self, host: str, mode: Mode, methods: Sequence[str], by: str) -> HostRule:
        """For this session, from now on. Raises BadRequest where nothing can be allowed."""
        state = self._state()
        if self.mode == "none":
            raise BadRequest("This session was made without any network.", "Make a new one with --egress registries.")
        if state.is_cut:
            raise BadRequest(
                "This session is cut off.", "Open it again first: cell-gateway sessions cut SESSION --undo"
            )
        rule = state.allow(host, mode, methods)
        state.save(self._path)
        self._send_rules()
        self._write(
            {"time": now(), "event": "allow", "host": host, "mode": mode, "methods": list(rule.methods), "by": by}
        )
        return rule

    async def cut(self, by: str, *, undo: bool = False) -> None:
        """End everything that is under way; nothing passes until it is undone."""
        state = self._state()
        state.is_cut = not undo
        state.save(self._path)
        self._write({"time": now(), "event": "open again" if undo else "cut", "by": by})
        if undo:
            self._send_rules()
            return
        self._is_cutting = self._keeping is not None and not self._keeping.done()
        await self._end_proxy()

    def attend(self, on_question: OnQuestion) -> Callable[[], None]:
        """From now on questions go to this front end too; the result ends that. With none there the answer is no."""
        self._listeners.append(on_question)
        for question in self._questions.values():
            on_question(_shown(question))

        def leave() -> None:
            self._listeners.remove(on_question)
            if not self._listeners:
                self._fail_questions()

        return leave

    def _on_ask(self, packet: Packet) -> None:
        place = (packet["host"], packet["key"])
        run = packet.get("run")
        if not self._listeners or (place in self._expired and self._expired[place] == run):
            self._answer(packet, None, "")
            return
        self._asked = (run, self._asked[1] + 1 if self._asked[0] == run else 1)
        if self._asked[1] > MOST_ASKED:
            self._answer(packet, None, "")
            return
        self._number += 1
        seconds = Policy.from_json(self._session.values["policy"]).ask_timeout
        mode = "tunnel" if packet["key"] == "tunnel" else "gateway"
        question: Packet = {**packet, "question": str(self._number), "as": mode, "seconds": seconds}
        self._questions[question["question"]] = question
        question["timer"] = asyncio.get_running_loop().call_later(seconds, self._expire, question["question"])
        for listener in self._listeners:
            listener(_shown(question))

    def answer(self, number: str, *, is_allowed: bool, by: str) -> bool:
        """False when it was answered already, or too late."""
        question = self._questions.pop(number, None)
        if question is None:
            return False
        question["timer"].cancel()
        state, place = self._state(), (question["host"], question["key"])
        if is_allowed:
            state.allow(question["host"], question["as"], [question["method"]] if question["as"] == "gateway" else [])
        else:
            state.denied.add(place)
        state.save(self._path)
        self._send_rules()
        self._answer(question, is_allowed, by)
        return True

    def _expire(self, number: str) -> None:
        question = self._questions.pop(number)
        self._expired[(question["host"], question["key"])] = question.get("run")
        self._answer(question, None, "")

    def _fail_questions(self) -> None:
        for number in list(self._questions):
            self._questions[number]["timer"].cancel()
            self._answer(self._questions.pop(number), None, "")

    def _answer(self, question: Packet, is_allowed: bool | None, by: str) -> None:
        event = {True: "allowed", False: "denied", None: "not answered"}[is_allowed]
        line = {"time": now(), "event": event, "host": question["host"], "mode": question["key"]}
        self._write({**line, **({"by": by} if by else {}), "run": question.get("run"), "cell": question.get("cell")})
        self._send({"op": "answer", "host": question["host"], "key": question["key"], "by": by or None})
        if "question" in question:
            for listener in self._listeners:
                listener({"event": "settled", "question": question["question"], "answer": event, "by": by})


def egress_folder(runtime: Path) -> Path:
    """Beside the runtime folder: stable, neutral, and nowhere the kernel may write."""
    return runtime.parent / f"e{runtime.name}"


def _shown(question: Packet) -> Packet:
    return {**{k: v for k, v in question.items() if k not in ("op", "timer")}, "event": "question"}


def _configured_hosts() -> list[HostRule]:
    from ..config import load_settings

    return list(load_settings().egress_hosts.values())


def _proxy_environment(environ: Mapping[str, str]) -> dict[str, str]:
    found = network_environment(environ)
    return {k: v for k, v in found.items() if any(name in k.upper() for name in _PROXY_NAMES) and "PIP" not in k}
