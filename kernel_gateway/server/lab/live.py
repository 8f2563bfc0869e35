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
from ...session.editing import TOO_BIG, editor_of, is_recordable, record_edits
from ...session.folder import SessionFolder
from ...supervisor.client import connect
from ..trust import with_trust
from .document import SharedNotebook

# How often the journal is looked at for new records while the notebook is open. It is appended to by another process.
_LOOK_SECONDS = 0.1
# After a change by a person, the time without another one before it becomes a record.
_SETTLE_SECONDS = 0.3
# Who writes without a pause has lost no more than this when the machine fails.
_LONGEST_SECONDS = 2.0
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
        # The first change that is not recorded yet, and the last one.
        self._since: float | None = None
        self._touched = 0.0
        self._advanced = asyncio.Condition()
        self._words = ""
        self._known: set[str] = set()
        self._refused: set[str] = set()
        # The keys of prompts whose senders gave one.
        self.messages: set[str] = set()
        self.is_closed = False
        # Held by who waits for a cell to come from a browser.
        self.arriving = asyncio.Lock()
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
        try:
            while is_open():
                await asyncio.sleep(_LOOK_SECONDS)
                if self._grown():
                    await self.refresh()
                if self._is_settled():
                    await self.flush_or_say()
            await self.flush_or_say()
        finally:
            self.is_closed = True
            self.shared.close()
            async with self._advanced:
                self._advanced.notify_all()

    async def refresh(self) -> None:
        """Show what the journal holds by now."""
        async with self._lock:
            await self._read()
            self._show()
        async with self._advanced:
            self._advanced.notify_all()

    async def flush(self) -> None:
        """Return when all that people changed is in the journal, less what is too big for it, of which they are told.

        Raises what `record_edits` does; the changes stay to be recorded.
        """
        async with self._lock:
            self._since = None
            cells = self.shared.cells()
            edits = changes(self.shared.shown, cells)
            if not edits:
                return
            refused = {str(edit["cell"]) for edit in edits if not is_recordable(edit)}
            try:
                await record_edits(
                    self.folder, [edit for edit in edits if edit["cell"] not in refused], editor_of(self.folder)
                )
            except (GatewayError, OSError):
                self._since = self._touched = asyncio.get_running_loop().time() + _RETRY_SECONDS
                raise
            self.shared.accept(cells, refused)
            await self._read()
            self._show()
        for cell in sorted(refused - self._refused):
            await self.notice(
                f"What was changed in the cell {cell} is too big to be recorded and will be lost. {TOO_BIG}"
            )
        self._refused = refused

    async def until(self, holds: Callable[[], bool]) -> bool:
        """Return when ``holds`` of what was read; False when the notebook is closed before."""
        async with self._advanced:
            await self._advanced.wait_for(lambda: self.is_closed or holds())
        return holds()

    async def notice(self, text: str) -> None:
        """Something that whoever reads the notebook should know."""
        try:
            async with connect(self.folder) as client:
                await client.record("notice", text=text)
        except (GatewayError, OSError) as error:
            self._log.error("%s: %s (%s)", self.folder.id, text, error)

    def say(self, text: str) -> None:
        """What the model has said so far and no record holds yet; an empty text when that is over."""
        self._words = text
        self.shared.preview(text)

    def _touch(self) -> None:
        self._touched = asyncio.get_running_loop().time()
        if self._since is None:
            self._since = self._touched

    def _is_settled(self) -> bool:
        if self._since is None:
            return False
        now = asyncio.get_running_loop().time()
        return now - self._touched >= _SETTLE_SECONDS or now - self._since >= _LONGEST_SECONDS

    async def flush_or_say(self) -> None:
        """As `flush`, with what keeps it from that in the log."""
        if self._since is None:
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
            if record.get("kind") == "prompt" and isinstance(message := record.get("message"), str):
                self.messages.add(message)

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
