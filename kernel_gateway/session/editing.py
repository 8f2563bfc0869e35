"""A person's edits of a session's notebook become records of its journal, whether or not the session runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from ..errors import BadRequest, SupervisorUnavailable
from ..journal import Journal, clean, externalize
from ..notebook.edits import Change
from ..supervisor.client import connect_or_hold
from .folder import SessionFolder

# Bytes of one record, as JSON: what many changes take beyond it goes into further records.
RECORD_BYTES = 8 * 1024**2
TOO_BIG = f"A cell's text and attachments may have {RECORD_BYTES // 1024**2} MB; put pictures and data into files."
_ATTEMPTS = 3


async def record_edits(folder: SessionFolder, changes: Sequence[Change], by: str) -> None:
    """Return when the changes (`notebook.edits.changes`) are durable; none make no record.

    The supervisor appends them; where none runs, this process does, under the supervisor's lock. To record one again changes nothing
    more. Raises NotFound, BadRequest for a change that is too big, DiskFull, and SupervisorUnavailable when it ends again and again.
    """
    for batch in list(_batches(clean(list(changes)))):
        await _record(folder, {"by": by, "changes": batch})


def editor_of(folder: SessionFolder) -> str:
    """Whose edits they are: with one token nothing tells people apart."""
    return str(folder.read().get("owner") or "person")


def is_recordable(change: Change) -> bool:
    """Whether it is not too big."""
    return len(orjson.dumps(clean(change))) <= RECORD_BYTES


def _batches(changes: list[Change]) -> Iterator[list[Change]]:
    batch: list[Change] = []
    size = 0
    for change in changes:
        added = len(orjson.dumps(change))
        if added > RECORD_BYTES:
            raise BadRequest(
                f"What was changed in the cell {str(change.get('cell'))[:64]!r} is {added / 1024**2:.1f} MB: it cannot be recorded.",
                TOO_BIG,
            )
        if batch and size + added > RECORD_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(change)
        size += added
    if batch:
        yield batch


async def _record(folder: SessionFolder, fields: dict[str, Any]) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        async with connect_or_hold(folder) as client:
            if client is None:
                return await _append(folder, fields)
            try:
                await client.record("edit", **fields)
                return None
            except SupervisorUnavailable:
                # It ended just now, and may have recorded this.
                if attempt == _ATTEMPTS:
                    raise
    return None


async def _append(folder: SessionFolder, fields: dict[str, Any]) -> None:
    writing = asyncio.ensure_future(asyncio.to_thread(_write, folder, fields))
    try:
        await asyncio.shield(writing)
    finally:
        # The lock is not let go while the thread writes.
        await asyncio.wait([writing])


def _write(folder: SessionFolder, fields: dict[str, Any]) -> None:
    journal = Journal(folder.journal)
    try:
        journal.append("edit", **externalize(fields, journal.blobs))
        journal.sync()
    finally:
        journal.close()
