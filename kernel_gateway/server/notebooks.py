"""A session's ``notebook.ipynb`` for whoever opens and saves it through the server: the file is written from the journal alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..errors import SupervisorUnavailable
from ..journal import BlobStore, read
from ..notebook.build import fold
from ..notebook.edits import changes
from ..notebook.write import write_notebook
from ..session.editing import editor_of, record_edits
from ..session.folder import SessionFolder
from ..supervisor.client import connect

if TYPE_CHECKING:
    from .lab.rooms import OpenNotebooks


async def write(folder: SessionFolder) -> None:
    """Return when the file holds all that is recorded."""
    try:
        async with connect(folder, start=False) as client:
            await client.notebook()
    except SupervisorUnavailable:
        await asyncio.to_thread(write_notebook, folder)


async def save(folder: SessionFolder, content: dict[str, Any], opened: OpenNotebooks | None) -> None:
    """What a person changed becomes records, then the file follows."""
    live = opened.of(folder) if opened is not None else None
    if live is not None:
        await live.flush()
    else:
        await _record_changes(folder, content)
    await write(folder)


async def _record_changes(folder: SessionFolder, content: dict[str, Any]) -> None:
    """Of a client that shares no document. It may have read the notebook a while ago: cells that it does not have are kept."""
    before = await asyncio.to_thread(_folded, folder)
    after = [{"source": "", **cell} for cell in content.get("cells", [])]
    edits = [change for change in changes(before, after) if change["op"] not in ("delete", "clear")]
    await record_edits(folder, edits, editor_of(folder))


def _folded(folder: SessionFolder) -> list[dict[str, Any]]:
    return fold(read(folder.journal).records, BlobStore(folder.blobs))["cells"]
