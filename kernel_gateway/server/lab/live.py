"""An open notebook of a session: the shared document is a view of the journal, and what people edit in it becomes records."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from logging import Logger
from typing import Any

from ...errors import GatewayError
from ...journal import BlobStore, follow
from ...notebook.build import Fold
from ...notebook.edits import changes
from ...notebook.render import Cell
from ...session.editing import record_edits
from ...session.folder import SessionFolder
from ...supervisor.client import connect
from ..trust import with_trust
from .document import SharedNotebook

# How often the journal is looked at for new records while the notebook is open. It is appended to by another process.
_LOOK_SECONDS = 0.1
# After a change by a person, the time without another one before it becomes a record.
_SETTLE_SECONDS = 0.3
_RETRY_SECONDS = 2.0


class LiveNotebook:
    """One document room. `flush` before anything that depends on what a person has just written."""

    def __init__(self, folder: SessionFolder, room: Any, log: Logger) -> None:
        self.folder, self.room = folder, room
        self._log = log
        self._fold = Fold(BlobStore(folder.blobs))
        self._offset = 0
        self._rendered: dict[str, tuple[Cell, Cell]] = {}
        self._lock = asyncio.Lock()
        self._touched: float | None = None
        self._advanced = asyncio.Condition()
        self._words = ""
        self._known: set[str] = set()
        self.shared = SharedNotebook(room._document, self._touch)

    async def open(self) -> None:
        """Before this returns, the document shows the journal."""
        # Edits before this moment would be missing in the store, and later ones invisible in browsers for ever.
        await self.room.ydoc_observed.wait()
        async with self._lock:
            await self._read()
            self.shared.adopt(self._cells())

    async def keep_up(self, is_open: Callable[[], bool]) -> None:
        """Until the room is gone."""
        while is_open():
            await asyncio.sleep(_LOOK_SECONDS)
            if self._grown():
                await self.refresh()
            if self._is_settled():
                await self._flush_or_say()
        await self._flush_or_say()
        self.shared.close()

    async def refresh(self) -> None:
        """Show what the journal holds by now."""
        async with self._lock:
            await self._read()
            self._show()
        async with self._advanced:
            self._advanced.notify_all()

    async def flush(self) -> None:
        """Return when all that people changed is in the journal. Raises what `record_edits` does; the changes stay to be recorded."""
        async with self._lock:
            self._touched = None
            edits = changes(self.shared.shown, self.shared.cells())
            if edits:
                try:
                    await record_edits(self.folder, edits, self.owner)
                except (GatewayError, OSError):
                    self._touched = asyncio.get_running_loop().time() + _RETRY_SECONDS
                    raise
                await self._read()
                self._show()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when ``holds`` of what is shown."""
        async with self._advanced:
            await self._advanced.wait_for(holds)

    async def notice(self, text: str) -> None:
        """Something that whoever reads the notebook should know."""
        try:
            async with connect(self.folder) as client:
                await client.record("notice", text=text)
        except (GatewayError, OSError) as error:
            self._log.error("%s: %s (%s)", self.folder.id, text, error)

    @property
    def owner(self) -> str:
        """Whose edits they are: with one token nothing tells people apart."""
        return str(self.folder.read().get("owner") or "person")

    def say(self, text: str) -> None:
        """What the model has said so far and no record holds yet; an empty text when that is over."""
        self._words = text
        self.shared.preview(_PREVIEW, text)

    def _touch(self) -> None:
        self._touched = asyncio.get_running_loop().time()

    def _is_settled(self) -> bool:
        return self._touched is not None and asyncio.get_running_loop().time() - self._touched >= _SETTLE_SECONDS

    async def _flush_or_say(self) -> None:
        if self._touched is None:
            return
        try:
            await self.flush()
        except (GatewayError, OSError) as error:
            self._log.error("Edits of %s are not recorded yet: %s", self.folder.id, error)

    def _grown(self) -> bool:
        try:
            return self.folder.journal.stat().st_size > self._offset
        except OSError:
            # The session was deleted.
            return False

    async def _read(self) -> None:
        """New records into the fold; a long journal does not keep the server from answering."""
        with contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(self._take_records)

    def _take_records(self) -> None:
        for record, offset in follow(self.folder.journal, self._offset):
            self._fold.add(record)
            self._offset = offset

    def _show(self) -> None:
        cells = self._cells()
        ids = {cell["id"] for cell in cells}
        if self._words and ids - self._known:
            # They are recorded now.
            self.say("")
        self._known = ids
        self.shared.show(cells)

    def _cells(self) -> list[Cell]:
        """As the document holds them; one that did not change is the same object as before."""
        before, self._rendered = self._rendered, {}
        for cell in self._fold.notebook()["cells"]:
            known = before.get(cell["id"])
            self._rendered[cell["id"]] = known if known is not None and known[0] == cell else (cell, with_trust(cell))
        return [shown for _, shown in self._rendered.values()]


_PREVIEW = "cell-gateway-words"
