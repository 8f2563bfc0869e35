"""Pages of JupyterLab that are open: whoever has one is somebody who can answer what code asks of the network.

Each page holds a websocket of ours rather than listening on Jupyter's event bus. The bus does not tell whether anybody listens, so
a closed browser could not mean no; and whoever may post an event could put a question there that no code ever asked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from tornado import web, websocket

from ...config import load_settings
from ...errors import GatewayError
from ...session.folder import SessionFolder, SessionStore
from ...supervisor.client import connect
from ...terminal import clean_text, escape_name
from .. import bindings
from ..rest.overview import cells_of, records_of

# How often sessions that came to life, and turns that began or ended, are looked for.
LOOK_SECONDS = 1.0
# A page that is loaded again is away for a moment; until this is over its questions go on waiting.
GRACE_SECONDS = 5.0
# A supervisor that does not answer keeps nobody from hearing about the others.
REACH_SECONDS = 3.0
PING_SECONDS = 10.0
_SOURCE_CHARACTERS, _PATH_CHARACTERS = 400, 200

Event = dict[str, Any]
Page = Callable[[Event], None]


class Attendance:
    """One per server. While a page is there, all live sessions are attended.

    Pages are told ``state`` (``live`` sessions, those with a turn of the model in ``turns``), ``question`` and ``settled``.
    """

    def __init__(self, store: SessionStore, has_turn: Callable[[SessionFolder], bool]) -> None:
        self._store, self._has_turn = store, has_turn
        self._pages: list[Page] = []
        self._work: asyncio.Task[None] | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._attending: dict[str, asyncio.Task[None]] = {}
        self._naming: set[asyncio.Task[None]] = set()
        self._live: set[str] = set()
        self._state: Event | None = None
        # By session and number, with the moment at which no answer becomes a no.
        self._questions: dict[tuple[str, str], tuple[Event, float]] = {}

    def join(self, page: Page) -> None:
        """It is told at once what is known, then whatever changes."""
        self._pages.append(page)
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        if self._work is None:
            self._work = asyncio.create_task(self._watch())
        if self._state is not None:
            page(self._state)
        now = asyncio.get_running_loop().time()
        for question, deadline in self._questions.values():
            page({**question, "left": max(0.0, deadline - now)})

    def leave(self, page: Page) -> None:
        self._pages.remove(page)
        if not self._pages:
            self._leaving = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._end)

    def _end(self) -> None:
        """Nobody came back. With their last listener gone, supervisors answer no."""
        self._leaving = None
        for task in [self._work, *self._attending.values()]:
            if task is not None:
                task.cancel()
        self._work, self._state = None, None
        self._attending, self._live, self._questions = {}, set(), {}

    def _tell(self, event: Event) -> None:
        for page in tuple(self._pages):
            page(event)

    async def _watch(self) -> None:
        while True:
            folders = await asyncio.to_thread(lambda: list(bindings.running(self._store)))
            fresh = [folder for folder in folders if folder.id not in self._attending]
            reached = [asyncio.create_task(self._reach(folder)) for folder in fresh]
            if reached:
                await asyncio.wait(reached, timeout=REACH_SECONDS)
            turns = [folder.id for folder in folders if self._has_turn(folder)]
            state: Event = {"event": "state", "live": sorted(self._live), "turns": sorted(turns)}
            if state != self._state:
                self._state = state
                self._tell(state)
            await asyncio.sleep(LOOK_SECONDS)

    async def _reach(self, folder: SessionFolder) -> None:
        """Return when the session is attended, or cannot be."""
        tried = asyncio.Event()
        attending = self._attending[folder.id] = asyncio.create_task(self._attend(folder, tried))
        attending.add_done_callback(lambda _: self._forget(folder.id, attending))
        await tried.wait()

    async def _attend(self, folder: SessionFolder, tried: asyncio.Event) -> None:
        try:
            with suppress(GatewayError, OSError):
                async with connect(folder, start=False) as client:
                    self._live.add(folder.id)
                    tried.set()
                    await client.questions(lambda event: self._on_event(folder, event))
        finally:
            tried.set()

    def _forget(self, session: str, attending: asyncio.Task[None]) -> None:
        """Its supervisor ended, and with it what it asked."""
        if self._attending.get(session) is not attending:
            return
        del self._attending[session]
        self._live.discard(session)
        for asked in [key for key in self._questions if key[0] == session]:
            self._settle({"session": session, "question": asked[1], "answer": "not answered"})

    def _on_event(self, folder: SessionFolder, event: Event) -> None:
        if event["event"] == "settled":
            self._settle({"session": folder.id, **{k: event.get(k) for k in ("question", "answer", "by")}})
            return
        asked = shown(folder, event)
        self._put(asked, asyncio.get_running_loop().time() + asked["seconds"])
        naming = asyncio.create_task(self._name_asker(folder, event, asked))
        self._naming.add(naming)
        naming.add_done_callback(self._naming.discard)

    def _put(self, asked: Event, deadline: float) -> None:
        self._questions[asked["session"], asked["question"]] = (asked, deadline)
        self._tell({**asked, "left": max(0.0, deadline - asyncio.get_running_loop().time())})

    async def _name_asker(self, folder: SessionFolder, event: Event, asked: Event) -> None:
        """A long journal takes a while to read; the question does not wait for it, and is told again."""
        found = await asyncio.to_thread(asker, folder, event)
        known = self._questions.get((asked["session"], asked["question"]))
        if found is not None and known is not None and known[0] is asked:
            self._put({**asked, "asker": found}, known[1])

    def _settle(self, told: Event) -> None:
        self._questions.pop((told["session"], str(told["question"])), None)
        self._tell({"event": "settled", **told})


def shown(folder: SessionFolder, event: Event) -> Event:
    """A question as pages get it. What code in the sandbox chose is in it without control characters and changes of direction."""
    texts = {k: escape_name(str(event.get(k) or "")) for k in ("host", "method")}
    path = escape_name(str(event.get("path") or "")[:_PATH_CHARACTERS])
    facts = {"question": str(event["question"]), "as": str(event["as"]), "seconds": float(event["seconds"])}
    return {"event": "question", "session": folder.id, **facts, **texts, "path": path, "asker": None}


def asker(folder: SessionFolder, event: Event) -> Event | None:
    """The cell that asks: its number in the notebook, whose it is, and how it begins. None when no cell is known."""
    cells = cells_of(records_of(folder))
    for number, cell in enumerate(cells, 1):
        if cell["cell"] == event.get("cell"):
            source = clean_text(cell["source"][:_SOURCE_CHARACTERS], colour=False)
            left = "…" if len(cell["source"]) > _SOURCE_CHARACTERS else ""
            # After its end, what it left running asks.
            is_running = event.get("run") is not None
            return {"number": number, "author": cell.get("author"), "source": source + left, "running": is_running}
    return None


class Attend(JupyterHandler, websocket.WebSocketHandler):  # pyright: ignore[reportIncompatibleMethodOverride]
    """``GET /cell-gateway/attend``: as long as this websocket is open, somebody is there."""

    auth_resource = "cell-gateway"
    _track_activity = False

    # A lid that was closed, or a network that went, says no goodbye.
    @property
    def ping_interval(self) -> float:
        return PING_SECONDS

    @property
    def ping_timeout(self) -> float:
        return PING_SECONDS

    @property
    def attendance(self) -> Attendance:
        return attendance(self.settings)

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        # Who may only look must not keep a question waiting.
        if not await ensure_async(self.authorizer.is_authorized(self, self.current_user, "write", self.auth_resource)):
            raise web.HTTPError(403)
        await super().get(*args, **kwargs)

    def open(self, *args: str, **kwargs: str) -> None:
        self.attendance.join(self._send)

    def on_message(self, message: str | bytes) -> None:
        """A page has nothing to say here: it answers by ``POST``, where the check against other sites' forms is."""

    def on_close(self) -> None:
        with suppress(ValueError):
            self.attendance.leave(self._send)

    def _send(self, event: Event) -> None:
        # It is just closing; `on_close` comes.
        with suppress(websocket.WebSocketClosedError):
            self.write_message(json.dumps(event))


def attendance(settings: dict[str, Any]) -> Attendance:
    """The one of a server, by the settings of its web application."""
    found: Attendance | None = settings.get("cell_gateway_attendance")
    if found is None:
        data = getattr(settings["cell_gateway"], "settings", None) or load_settings()
        found = Attendance(SessionStore(data.data), lambda folder: _has_turn(settings, folder))
        settings["cell_gateway_attendance"] = found
    return found


def _has_turn(settings: dict[str, Any], folder: SessionFolder) -> bool:
    turns: Any = getattr(settings["cell_gateway"], "turns", None)
    return turns is not None and turns.running(folder) is not None


handlers: list[tuple[Any, ...]] = [(r"/cell-gateway/attend", Attend)]
