"""Which notebooks of sessions are open, and what happens when one is opened or saved."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyter_server_ydoc.utils import JUPYTER_COLLABORATION_EVENTS_URI

from ...errors import NotFound
from ...session.folder import SessionFolder
from ..sessions import session_of
from ..turns import Running, Turns
from .ask import Asking, Words
from .live import LiveNotebook

# The second is said of a room that was there already, whose notebook may be followed no longer.
_OPENED = ("Room initialized", "New client connected.")


def start(serverapp: Any) -> None:
    """What JupyterLab needs beside its handlers, once the extension for shared documents is there."""
    settings = serverapp.web_app.settings
    notebooks = settings["cell_gateway_notebooks"] = OpenNotebooks(serverapp)
    settings["cell_gateway_asking"] = Asking(settings["cell_gateway"].turns)
    serverapp.contents_manager.open_notebooks = notebooks


class OpenNotebooks:
    """One per server. A room whose document is a session's notebook gets a `LiveNotebook` as soon as it is there."""

    def __init__(self, serverapp: Any) -> None:
        self._server = serverapp
        self._live: dict[str, LiveNotebook] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        serverapp.event_logger.add_listener(schema_id=JUPYTER_COLLABORATION_EVENTS_URI, listener=self._on_event)
        self._turns: Turns = serverapp.web_app.settings["cell_gateway"].turns
        self._turns.watchers.append(self._show_words)

    def of(self, folder: SessionFolder) -> LiveNotebook | None:
        """The open notebook of a session."""
        return next((live for live in self._live.values() if live.folder.path == folder.path), None)

    async def get(self, document_id: str) -> LiveNotebook:
        """By the id of its room, ``json:notebook:<file id>``; opened when nobody has it open. Raises NotFound."""
        path = self._path(document_id)
        folder = session_of(path)
        if folder is None:
            raise NotFound("This document is not the notebook of a session.", "Open notebook.ipynb of a session.")
        await self._collaboration.get_document(room_id=document_id, copy=False, create=True)
        return await self._attach(document_id, folder)

    def _show_words(self, running: Running) -> None:
        if (live := self.of(running.folder)) is not None:
            self._listen(live, running)

    def _listen(self, live: LiveNotebook, running: Running) -> None:
        running.join(Words(live))
        running.ended.add_done_callback(lambda ended: live.say(""))

    async def flush(self) -> None:
        """All that people changed becomes records; what cannot is told in the log, and keeps nobody else's from it."""
        for live in list(self._live.values()):
            await live.flush_or_say()

    @property
    def _collaboration(self) -> Any:
        (found,) = self._server.extension_manager.extension_apps["jupyter_server_ydoc"]
        return found

    def _path(self, document_id: str) -> str:
        return str(self._server.web_app.settings["file_id_manager"].get_path(document_id.rpartition(":")[2]) or "")

    async def _on_event(self, logger: Any, schema_id: str, data: dict[str, Any]) -> None:
        if data.get("action") == "initialize" and data.get("msg") in _OPENED:
            document_id = str(data["room"])
            folder = session_of(str(data["path"])) if document_id.startswith("json:notebook:") else None
            if folder is not None:
                await self._attach(document_id, folder)

    async def _attach(self, document_id: str, folder: SessionFolder) -> LiveNotebook:
        async with self._opening.setdefault(document_id, asyncio.Lock()):
            room = self._collaboration.ywebsocket_server.rooms[document_id]
            live = self._live.get(document_id)
            if live is None or live.room is not room:
                live = LiveNotebook(folder, room, self._server.log)
                await live.open()
                self._live[document_id] = live
                if (running := self._turns.running(folder)) is not None:
                    self._listen(live, running)
                task = asyncio.create_task(self._keep_up(document_id, live))
                self._tasks.add(task)
                task.add_done_callback(self._ended)
            return live

    async def _keep_up(self, document_id: str, live: LiveNotebook) -> None:
        rooms = self._collaboration.ywebsocket_server.rooms
        try:
            await live.keep_up(lambda: rooms.get(document_id) is live.room and live.folder.internals.is_dir())
        finally:
            if self._live.get(document_id) is live:
                del self._live[document_id]

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._server.log.error(
                "An open notebook no longer follows its session; close it and open it again.", exc_info=error
            )
