"""The one place where the server runs turns of the model. A turn goes on when whoever began it leaves: the journal is the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Optional, Protocol, runtime_checkable

from ..agent.conversation import Attachment, pending_turn
from ..agent.ground import Ground
from ..agent.listener import Listener
from ..agent.model import Model
from ..agent.pricing import Budget, Usage, require_price
from ..agent.turn import Turn, TurnResult
from ..config import Settings
from ..errors import GatewayError, SessionBusy
from ..journal import read
from ..session.folder import SessionFolder
from ..supervisor.client import SessionClient, connect
from ..supervisor.runs import Output, RunResult
from .rest.waking import awake

# Prompt, attachments, and the sender's key of the message; None to go on with the turn that broke off, and no more.
Asked = Optional[tuple[str, Sequence[Attachment], Optional[str]]]  # noqa: UP045


@runtime_checkable
class Attending(Protocol):
    """A listener that can put questions of the network to a person. While none listens, the answer is no."""

    def question(self, event: dict[str, Any]) -> None:
        """A ``question`` or ``settled`` event, as `SessionClient.questions` gives it."""
        ...


class Hall(Listener):
    """All who listen to one turn. Who comes later is told first what the current words and cell are so far."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._words = ""
        self._cell: tuple[str, str, str] | None = None
        self._outputs: list[Output] = []

    def join(self, listener: Listener) -> None:
        if self._words:
            listener.text(self._words)
        if self._cell is not None:
            listener.tool_start(*self._cell)
        if self._outputs:
            listener.outputs(self._outputs)
        self._listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        with suppress(ValueError):
            self._listeners.remove(listener)

    def forget(self) -> None:
        """What was said belongs to a turn that is over."""
        self._words = ""

    def _tell(self, say: Callable[[Listener], None]) -> None:
        for listener in tuple(self._listeners):
            say(listener)

    def text(self, delta: str) -> None:
        self._words += delta
        self._tell(lambda one: one.text(delta))

    def thinking(self, delta: str) -> None:
        self._tell(lambda one: one.thinking(delta))

    def retract(self, reason: str) -> None:
        self._words = ""
        self._tell(lambda one: one.retract(reason))

    def tool_start(self, tool: str, cell: str, source: str) -> None:
        self._words, self._cell, self._outputs = "", (tool, cell, source), []
        self._tell(lambda one: one.tool_start(tool, cell, source))

    def outputs(self, outputs: list[Output]) -> None:
        self._outputs += outputs
        self._tell(lambda one: one.outputs(outputs))

    def tool_end(self, result: RunResult) -> None:
        self._cell, self._outputs = None, []
        self._tell(lambda one: one.tool_end(result))

    def usage(self, usage: Usage, cost: float | None) -> None:
        self._tell(lambda one: one.usage(usage, cost))

    def notice(self, text: str) -> None:
        self._tell(lambda one: one.notice(text))


class Running:
    """A turn that goes on, from the moment it was asked for until its notebook is built."""

    def __init__(self, folder: SessionFolder) -> None:
        self.folder = folder
        self._hall = Hall()
        self._turn: Turn | None = None
        self._is_stopped = False
        self.ended: asyncio.Future[TurnResult] = asyncio.get_running_loop().create_future()
        self._attending: dict[int, asyncio.Task[None]] = {}

    async def result(self) -> TurnResult:
        """Waits for the end; leaving ends nothing. Raises what the turn raised."""
        return await asyncio.shield(self.ended)

    def join(self, listener: Listener) -> None:
        self._hall.join(listener)
        if isinstance(listener, Attending) and not self.ended.done():
            self._attending[id(listener)] = asyncio.create_task(self._attend(listener))

    def leave(self, listener: Listener) -> None:
        self._hall.leave(listener)
        if (attending := self._attending.pop(id(listener), None)) is not None:
            attending.cancel()

    async def stop(self) -> None:
        """The stream is closed or the running cell interrupted, at any moment; the turn is then ended in the journal."""
        self._is_stopped = True
        if self._turn is not None:
            await self._turn.interrupt()

    async def _attend(self, listener: Attending) -> None:
        # A connection of its own: it ends when the listener leaves, and with it the promise that somebody answers.
        with suppress(GatewayError):
            async with connect(self.folder) as client:
                await client.questions(listener.question)

    async def work(self, settings: Settings, model: Model, budget: Budget, asked: Asked) -> TurnResult:
        async with awake(settings, self.folder) as client:
            ground = await Ground.of(settings, client)
            await model.learn()
            self._turn = Turn(client, model, self._hall, budget, system=ground.system, convert=ground.convert)
            if self._is_stopped:
                await self._turn.interrupt()
            try:
                return await self._take(self._turn, asked)
            finally:
                await _build_notebook(client)

    async def _take(self, turn: Turn, asked: Asked) -> TurnResult:
        records = (await asyncio.to_thread(read, self.folder.journal)).records
        result = TurnResult("", "end_turn")
        if pending_turn(records) is not None:
            if asked is not None:
                self._hall.notice("Going on with the turn that broke off.")
            result = await turn.resume() or result
            self._hall.forget()
        return result if asked is None else await turn.ask(*asked)

    async def end(self, result: TurnResult | None, error: BaseException | None) -> None:
        """All who wait are told."""
        for attending in self._attending.values():
            attending.cancel()
        await asyncio.gather(*self._attending.values(), return_exceptions=True)
        if result is not None:
            self.ended.set_result(result)
            return
        self.ended.set_exception(error if isinstance(error, Exception) else _left(self.folder))
        # Nobody may be left to hear of it.
        self.ended.exception()


class Turns:
    """One per server."""

    def __init__(self, settings: Settings, connect_model: Callable[[str], Model]) -> None:
        self._settings, self._connect_model = settings, connect_model
        self._running: dict[str, Running] = {}
        # Who is told of each turn as it begins.
        self.watchers: list[Callable[[Running], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    async def run(
        self,
        folder: SessionFolder,
        prompt: str,
        listener: Listener,
        attachments: Sequence[Attachment] = (),
        *,
        model: str | None = None,
        budget: Budget | None = None,
        message: str | None = None,
    ) -> TurnResult:
        """Wakes the session, finishes a turn that broke off, then asks. Cancelling this ends nothing: `stop` does.

        Raises SessionBusy when a turn runs, here or in another process, MessageKnown when ``message`` was asked already, BadRequest,
        ModelFailure, and what hinders cells from running.
        """
        begun = self.begin(folder, (prompt, attachments, message), listener, model=model, budget=budget)
        return await begun.result()

    def begin(
        self,
        folder: SessionFolder,
        asked: Asked,
        listener: Listener,
        *,
        model: str | None = None,
        budget: Budget | None = None,
    ) -> Running:
        """As `run`, at once. Raises SessionBusy and BadRequest when that is known without waiting."""
        if folder.id in self._running:
            raise SessionBusy(f"The session {folder.id} is in the middle of a turn.", "Wait for it, or stop it.")
        budget = budget or Budget()
        connected = self._connect_model(model or folder.read().get("model") or self._settings["model"])
        if budget.max_cost is not None:
            require_price(connected.name, connected.price)
        running = self._running[folder.id] = Running(folder)
        running.join(listener)
        for watcher in self.watchers:
            watcher(running)
        task = asyncio.create_task(self._go(running, connected, budget, asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return running

    async def _go(self, running: Running, model: Model, budget: Budget, asked: Asked) -> None:
        result, error = None, None
        try:
            result = await running.work(self._settings, model, budget, asked)
        except GatewayError as told:
            error = told
        except BaseException as unforeseen:
            error = unforeseen
            raise
        finally:
            await model.close()
            # Before those who wait go on: their next turn is free to begin.
            del self._running[running.folder.id]
            await running.end(result, error)

    def running(self, folder: SessionFolder) -> Running | None:
        return self._running.get(folder.id)

    @contextmanager
    def listen(self, folder: SessionFolder, listener: Listener) -> Generator[Running | None]:
        """Hear the turn that runs from here on, until this is left; None when none runs here."""
        if (running := self.running(folder)) is None:
            yield None
            return
        running.join(listener)
        try:
            yield running
        finally:
            running.leave(listener)

    async def stop(self, folder: SessionFolder) -> bool:
        """Stop the turn and its running cell. False when no turn runs here."""
        if (running := self.running(folder)) is None:
            return False
        await running.stop()
        return True


async def _build_notebook(client: SessionClient) -> None:
    # The journal has everything; whoever builds the notebook next brings it up to date.
    with suppress(GatewayError):
        await client.notebook()


def _left(folder: SessionFolder) -> GatewayError:
    return SessionBusy(f"The turn of {folder.id} was broken off.", "The next prompt goes on with it first.")
