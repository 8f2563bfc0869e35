"""One kernel generation: a sandbox, the kernel in it, and our side of its sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..egress.inside import environment as egress_environment
from ..egress.inside import with_relay
from ..errors import KernelDied
from ..image.layer import prepare_layer
from ..image.store import Image
from ..sandbox.engine import Engine, Exit, Mount, Sandbox, SandboxSpec, Tier
from ..session.folder import SessionFolder
from ..session.policy import Policy
from .arrivals import sockets_listening
from .channels import KernelSockets, write_connection_file
from .messages import BadMessage, Message, Signer, compose
from .run import NAMES_EXPRESSION, NAMES_KEY, reply_for_client

START_SECONDS = 60.0
# Sockets of an ended process close at once; a kernel that closed them before has nothing more to say.
LAST_WORDS_SECONDS = 2.0
_NAMES = [f"k-{number}" for number in range(1, 6)]


class Kernel:
    """Started by `start_kernel`. ``on_shell`` and the others get verified messages of this generation only."""

    def __init__(self, generation: int, sockets_folder: Path, owner: int, sandbox: Sandbox, key: str) -> None:
        self.generation, self.sandbox = generation, sandbox
        self.session = secrets.token_hex(16)
        # Messages that were dropped because they were not of the protocol or not signed by the kernel.
        self.rejected = 0
        self.is_frozen = False
        self.info: dict[str, Any] = {}
        # The sandbox has ended; and then: its death is recorded.
        self.ended, self.buried = False, asyncio.Event()
        self._sockets_folder, self._owner = sockets_folder, owner
        self._signer = Signer(key)
        self._sockets: KernelSockets | None = None
        self._answers: dict[str, asyncio.Future[Message]] = {}
        self._heard_iopub = asyncio.Event()

    @property
    def isolation(self) -> Mapping[str, Tier]:
        return self.sandbox.isolation

    def connect(
        self,
        on_reply: Callable[[str, Message], None],
        on_iopub: Callable[[Message], None],
        on_too_large: Callable[[str, list[bytes]], None],
    ) -> None:
        """``on_reply`` gets the channel's name (shell, control, stdin) and the message; see `KernelSockets` for what it raises."""

        def verified(handle: Callable[[Message], None]) -> Callable[[list[bytes]], None]:
            def on_frames(frames: list[bytes]) -> None:
                try:
                    handle(self._signer.unwrap(frames))
                except BadMessage:
                    self.rejected += 1
                except Exception as error:  # noqa: BLE001
                    # Whatever a hostile kernel makes us stumble over costs its message, never the channel: a run would wait for ever.
                    self.rejected += 1
                    context = {"message": "a message of the kernel could not be handled", "exception": error}
                    asyncio.get_running_loop().call_exception_handler(context)

            return on_frames

        def reply(channel: str) -> Callable[[Message], None]:
            def handle(message: Message) -> None:
                waiting = self._answers.pop(message.parent_id, None)
                if waiting is None:
                    on_reply(channel, message)
                elif not waiting.done():
                    waiting.set_result(message)

            return handle

        def iopub(message: Message) -> None:
            self._heard_iopub.set()
            on_iopub(message)

        self._sockets = KernelSockets(
            self._sockets_folder,
            self._owner,
            on_shell=verified(reply("shell")),
            on_control=verified(reply("control")),
            on_stdin=verified(reply("stdin")),
            on_iopub=verified(iopub),
            on_too_large=on_too_large,
        )

    def send(self, channel: str, message: Message) -> None:
        """To the kernel's shell, control or stdin; the identities stay with us."""
        if self._sockets is not None:
            self.thaw()
            frames = self._signer.wrap(Message(message.frames))
            self._sockets.send(channel, frames)

    async def ask(self, channel: str, kind: str, content: dict[str, Any]) -> Message:
        """A request of our own and its answer; it never reaches a client or the record. May wait for ever: give it a deadline."""
        message = compose(kind, self.session, content)
        future = self._answers[message.id] = asyncio.get_running_loop().create_future()
        self.send(channel, message)
        try:
            return await future
        finally:
            self._answers.pop(message.id, None)

    async def ready(self) -> None:
        """Until the kernel answers and its iopub is heard: only then is no output lost."""
        assert self._sockets is not None
        await self._sockets.connect()
        self.info = (await self.ask("shell", "kernel_info_request", {})).content
        while not self._heard_iopub.is_set():
            await self.ask("shell", "kernel_info_request", {})

    async def round_trip(self, seconds: float) -> bool:
        """Whether an empty request came back: what was sent before it, an interrupt too, has done its work."""
        try:
            await asyncio.wait_for(self.ask("shell", "kernel_info_request", {}), seconds)
        except asyncio.TimeoutError:
            return False
        return True

    async def names(self, seconds: float) -> list[str] | None:
        """The names that are alive, asked for silently; None when it does not answer in time."""
        content = {"code": "", "silent": True, "store_history": False, "allow_stdin": False, "stop_on_error": False}
        question = self.ask("shell", "execute_request", {**content, "user_expressions": {NAMES_KEY: NAMES_EXPRESSION}})
        try:
            return reply_for_client(await asyncio.wait_for(question, seconds))[1]
        except asyncio.TimeoutError:
            return None

    async def freeze(self) -> None:
        """Stop it for a while; the next message to it lets it go on."""
        if not self.ended:
            self.is_frozen = True
            await self.sandbox.freeze()

    def thaw(self) -> None:
        if self.is_frozen:
            self.is_frozen = False
            self.sandbox.thaw()

    def interrupt_by_message(self) -> None:
        self.send("control", compose("interrupt_request", self.session, {}))

    async def interrupt_by_signal(self) -> None:
        await self.sandbox.signal_command(signal.SIGINT)

    async def last_words(self) -> None:
        """The sandbox has ended: take what the kernel still said before it did."""
        self.ended = True
        if self._sockets is not None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._sockets.until_ended(), LAST_WORDS_SECONDS)

    async def stop(self) -> Exit:
        """Kill it and everything in its sandbox."""
        exit_ = await self.sandbox.stop()
        self.release()
        return exit_

    def release(self) -> None:
        """Close our sockets and remove their folder; the sandbox has ended."""
        if self._sockets is not None:
            self._sockets.close()
            self._sockets = None
        for waiting in self._answers.values():
            waiting.cancel()
        shutil.rmtree(self._sockets_folder, ignore_errors=True)


async def start_kernel(
    generation: int,
    engine: Engine,
    image: Image,
    folder: SessionFolder,
    runtime: Path,
    values: Mapping[str, Any],
    egress: Path,
) -> Kernel:
    """Start a sandbox with a kernel in it; the caller connects and awaits `Kernel.ready`. ``values`` is ``session.json``.

    Raises EngineUnavailable, ImageUnavailable.
    """
    uid, policy = values.get("uid"), Policy.from_json(values["policy"])
    prepare_layer(image, folder.layer, uid)
    sockets = runtime.parent / f"k{secrets.token_hex(6)}"
    sockets.mkdir(mode=0o700)
    key = secrets.token_hex(32)
    # The private copy of the key is the object made here: the file inside is never read again.
    write_connection_file(sockets / "connection.json", "/run/kernel/k", key)
    if uid is not None:
        for path in (sockets / "connection.json", sockets):
            os.chown(path, uid, uid)
    spec = SandboxSpec(
        command=with_relay(image.kernel_command("/run/kernel/connection.json")),
        environment={**image.environment(cpus=policy.cpus), **egress_environment()},
        image=image.root,
        workspace=folder.workspace,
        outputs=folder.outputs,
        layer=folder.layer,
        sockets=sockets,
        policy=policy,
        uid=uid,
        egress=egress,
        mounts=[Mount(Path(m["source"]), f"/workspace/inputs/{m['name']}") for m in values.get("mounts", [])],
        generation=generation,
    )
    try:
        sandbox = await engine.start(spec)
    except BaseException:
        shutil.rmtree(sockets, ignore_errors=True)
        raise
    owner = os.getuid() if uid is None else int(uid)
    kernel = Kernel(generation, sockets, owner, sandbox, key)
    try:
        await _first_of(sandbox, sockets_listening(sockets, _NAMES, owner))
    except BaseException:
        await kernel.stop()
        raise
    return kernel


async def until_ready(kernel: Kernel) -> None:
    """Raises KernelDied when it ends, or does not answer, before it is ready."""
    await _first_of(kernel.sandbox, kernel.ready())


async def _first_of(sandbox: Sandbox, awaitable: Any) -> None:
    """Await with the sandbox's end and a deadline as the alternatives. Raises KernelDied."""
    work, ended = asyncio.ensure_future(awaitable), asyncio.ensure_future(sandbox.wait())
    try:
        await asyncio.wait({work, ended}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        tail = getattr(sandbox, "log_tail", lambda: "")()
        if ended.done():
            raise KernelDied(
                "crash", f"It ended with status {ended.result().status} before it was ready. {tail[-2000:]}"
            )
        raise KernelDied("timeout", f"It was not ready within {START_SECONDS:.0f} seconds. {tail[-2000:]}")
    finally:
        work.cancel()
        ended.cancel()
