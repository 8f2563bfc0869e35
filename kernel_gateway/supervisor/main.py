"""The supervisor's process: one a live session. ``python -m kernel_gateway.supervisor.main FOLDER --ready FD``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import zmq

from ..errors import GatewayError, SessionBusy
from ..image.store import Image, ImageStore
from ..journal import Journal
from ..sandbox.engine import Engine
from ..sandbox.engines import make_engine
from ..sandbox.limits import scope
from ..sandbox.limits.interface import found_here
from ..session.aside import put_back
from ..session.folder import SessionFolder, runtime_folder
from .channels import ClientSockets
from .control import ControlServer
from .disk import DiskWatch
from .egress import Egress, egress_folder
from .execution import Execution
from .generations import Place
from .idle import IdleWatch
from .messages import BadMessage, Message, Signer, compose, pack
from .run import from_client

# The notebook follows the last change after so many seconds without another.
NOTEBOOK_SECONDS = 1.0
# A ready sandbox that nobody claims ends itself.
UNCLAIMED_SECONDS = 3600.0
LOCK_SECONDS = 20


class Supervisor:
    """From outside it is the kernel: five sockets and a connection file; beside them the control socket."""

    def __init__(self, folder: SessionFolder, engine: Engine, image: Image) -> None:
        self.runtime = runtime_folder(folder)
        self.runtime.mkdir(mode=0o700, exist_ok=True)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.journal = Journal(folder.journal)
        self.stopping = asyncio.Event()
        self.sockets = ClientSockets(
            self._context,
            self.runtime,
            on_shell=self._on_shell,
            on_control=self._on_control,
            on_stdin=self._on_stdin,
            on_subscribe=self._welcome,
        )
        self._signer = Signer(self.sockets.key)
        # Messages that were not of the protocol or not signed with our key.
        self.rejected = 0
        place = Place(folder, folder.read(), engine, image, self.runtime, self._context, egress_folder(self.runtime))
        self.execution = Execution(place, self.journal, self)
        self.egress = Egress(place, self.journal, self.runtime)
        self.execution.on_begin, self.execution.on_end = self.egress.began, self.egress.ended
        self.egress.on_record = self.execution.router.changed.set
        self._building = asyncio.Lock()
        self._build: asyncio.Task[str | None] | None = None
        # After the last build, which holds all that was recorded.
        self._is_built = False
        execution, policy = self.execution, self.execution.policy
        self._disk = DiskWatch(execution.measure_disk, policy.disk, execution.on_disk)
        self._idle = IdleWatch(
            (policy.idle_freeze, policy.idle_stop), execution.glance, execution.freeze, self.stopping.set
        )
        execution.router.on_turn.append(lambda: self._disk.turned(is_running=execution.running is not None))

    async def run(self, ready: int, *, is_replay: bool = False) -> None:
        """Until it is told to stop. ``ready`` is a descriptor that gets one JSON line when front ends may connect.

        ``is_replay``: whoever started this asks for the kernel itself, to replay into it.
        """
        facts = {"pid": os.getpid(), "connection_file": str(self.sockets.connection_file)}
        control = ControlServer(self.execution, self.egress, facts, self.build_notebook, self.stopping.set)
        self.egress.listen()
        await control.listen(self.runtime / "control")
        os.write(ready, b'{"ok": true}\n')
        os.close(ready)
        asyncio.get_running_loop().call_later(UNCLAIMED_SECONDS, self._end_unclaimed)
        tasks = [asyncio.create_task(work) for work in (self.execution.work(), self._keep_notebook())]
        tasks += [asyncio.create_task(work) for work in (self._disk.work(), self._idle.work())]
        tasks += [] if is_replay else [asyncio.create_task(self._warm_up())]
        stopping = asyncio.create_task(self.stopping.wait())
        await asyncio.wait([stopping, *tasks[:2]], return_when=asyncio.FIRST_COMPLETED)
        await self.execution.stop()
        await self.egress.stop()
        await _end([stopping, *tasks])
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await self.build_notebook()
        self._is_built = True
        control.close()
        self.sockets.close()
        self.journal.close()
        # Nobody else comes: whoever starts the next supervisor waits for the lock that we hold.
        shutil.rmtree(self.runtime, ignore_errors=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def build_notebook(self) -> str | None:
        """In a child, so that the loop never waits for a big notebook. Returns what it had to say, if anything."""
        async with self._building:
            if self._is_built:
                return None
            if self._build is not None:
                await asyncio.wait([self._build])
            self.execution.router.changed.clear()
            # Whoever leaves, it goes on: asyncio never returns from a child that is cancelled while it starts.
            self._build = asyncio.create_task(self._build_in_child())
            return await asyncio.shield(self._build)

    async def _build_in_child(self) -> str | None:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "kernel_gateway.notebook.write",
            str(self.execution.folder.path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await child.communicate()
        return said.decode("utf-8", "replace").strip() or None

    async def _keep_notebook(self) -> None:
        while True:
            await self.execution.router.changed.wait()
            while self.execution.router.changed.is_set():
                self.execution.router.changed.clear()
                await asyncio.sleep(NOTEBOOK_SECONDS)
            if self.execution.running is None:
                await self.build_notebook()

    def _end_unclaimed(self) -> None:
        if self.execution.place.values.get("generic"):
            self.stopping.set()

    async def _warm_up(self) -> None:
        """The kernel starts before anyone asks for it; a failure is told to whoever asks."""
        try:
            await self.execution.generations.ensure()
        except GatewayError as error:
            print(f"kernel: {error}", file=sys.stderr, flush=True)

    # Clients

    def publish(self, message: Message) -> None:
        topic = b"kernel." + message.kind.encode("utf-8", "replace")
        self.sockets.iopub.send(self._signer.wrap(Message(message.frames, [topic])))

    def _welcome(self, topic: bytes) -> None:
        """A client that waits for it knows that it misses no output from here on."""
        welcome = compose("iopub_welcome", "", {"subscription": topic.decode("utf-8", "replace")})
        self.sockets.iopub.send(self._signer.wrap(Message(welcome.frames, [topic] if topic else [])))

    def reply(self, channel: str, message: Message) -> None:
        getattr(self.sockets, channel).send(self._signer.wrap(message))

    def _verified(self, frames: list[bytes]) -> Message | None:
        try:
            message = self._signer.unwrap(frames)
            _ = message.content, message.metadata
        except BadMessage:
            self.rejected += 1
            return None
        return message

    def _on_shell(self, frames: list[bytes]) -> None:
        message = self._verified(frames)
        if message is None:
            return
        if message.kind == "execute_request":
            self.execution.submit(from_client(message))
        elif message.kind == "kernel_info_request" and self.execution.kernel is not None:
            self._answer_here(message, "kernel_info_reply", self.execution.kernel.info)
        elif message.kind == "shutdown_request":
            self._shut_down("shell", message)
        else:
            self.execution.pass_on("shell", message)

    def _on_control(self, frames: list[bytes]) -> None:
        message = self._verified(frames)
        if message is None:
            return
        if message.kind == "shutdown_request":
            self._shut_down("control", message)
        elif message.kind == "interrupt_request":
            self.execution.interrupt(None)
            self.reply(
                "control", compose("interrupt_reply", "", {"status": "ok"}, message.frames[0], message.identities)
            )
        else:
            self.execution.pass_on("control", message)

    def _on_stdin(self, frames: list[bytes]) -> None:
        if (message := self._verified(frames)) is not None:
            self.execution.answer_input(message)

    def _answer_here(self, message: Message, kind: str, content: dict[str, object]) -> None:
        """kernel_info comes from memory, so that a client may connect while a long cell runs."""
        header = message.frames[0]
        self.publish(compose("status", "", {"execution_state": "busy"}, header))
        self.reply("shell", Message([*compose(kind, "", {}, header).frames[:3], pack(content)], message.identities))
        self.publish(compose("status", "", {"execution_state": "idle"}, header))

    def _shut_down(self, channel: str, message: Message) -> None:
        """A client's shutdown stops the session; with ``restart`` it gets a fresh kernel. The notebook stays either way."""
        restart = bool(message.content.get("restart"))
        content = {"status": "ok", "restart": restart}
        self.reply(channel, compose("shutdown_reply", "", content, message.frames[0], message.identities))
        self.publish(compose("shutdown_reply", "", content, message.frames[0]))
        if restart:
            self.execution.restart()
        else:
            self.stopping.set()


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel until they are done: before Python 3.12 ``wait_for`` loses a cancellation that comes as it ends."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=1)


def _lock(folder: SessionFolder) -> int:
    """Held for life. Waits for a supervisor that is just ending. Raises SessionBusy when another one stays."""

    def give_up(signum: int, frame: object) -> None:
        raise SessionBusy(f"The session {folder.id} is held by another supervisor.")

    fd = os.open(folder.internals / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LOCK_SECONDS)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return fd


async def _supervise(path: Path, ready: int, *, is_replay: bool) -> None:
    folder = SessionFolder(path)
    values = folder.read()
    # Until the process ends: whoever waits for it finds nothing of us.
    _lock(folder)
    if not is_replay:
        # A replay that was killed had set the session's files aside.
        put_back(folder)
    engine = make_engine(values["engine"])
    image = ImageStore().find(values["image"]["digest"])
    supervisor = Supervisor(folder, engine, image)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(signum, supervisor.stopping.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    await supervisor.run(ready, is_replay=is_replay)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ready", type=int, required=True)
    parser.add_argument("--replay", action="store_true")
    arguments = parser.parse_args()
    if os.fork() > 0:
        # The front end waits for this process: the supervisor itself is nobody's child and outlives everyone.
        os._exit(0)
    os.setsid()
    os.umask(0o022)
    with contextlib.suppress(OSError):
        # Only where the front end asked the user's service manager for a scope.
        scope.settle(found_here(), os.getpid())
    try:
        asyncio.run(_supervise(arguments.folder, arguments.ready, is_replay=arguments.replay))
    except GatewayError as error:
        described = {"type": type(error).__name__, "message": error.message, "next": error.next_step}
        print(f"supervisor: {error}", file=sys.stderr)
        try:
            os.write(arguments.ready, json.dumps({"error": described}).encode() + b"\n")
        except OSError:
            # The front end is connected already, or gone; the log has it.
            return 1
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
