"""``cell-gateway fork``: a new session that stands where another stood after a cell."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Json, SessionArgument
from .replaying import Timeout
from .rerun import SessionNewName

if TYPE_CHECKING:
    from ..replay.rerun import Changed, Rerun
    from ..session.folder import SessionFolder
    from .replaying import Plan


def register(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("fork")(fork)


def fork(
    session: SessionArgument,
    at: Annotated[str, typer.Option("--at", metavar="CELL", help="The last cell: a number or id.", show_default=False)],
    name: SessionNewName = None,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Make a new session by running another one's cells again up to CELL. Exit code 1 when a cell failed that had not."""
    from ..config import load_settings
    from ..replay.rerun import changed
    from ..session.folder import SessionStore
    from .cells import parse_timeout
    from .replaying import plan

    settings, seconds = load_settings(), parse_timeout(timeout)
    source = SessionStore(settings.data).find(session)
    planned = plan(settings, source, None)
    # What no kernel has seen is no part of the state.
    wanted = changed(planned.recording.without_unrun(), {}, {}, at)
    raise typer.Exit(asyncio.run(_fork(planned, wanted, source, name, seconds, as_json=as_json)))


async def _fork(
    planned: Plan, wanted: Changed, source: SessionFolder, name: str | None, seconds: float | None, *, as_json: bool
) -> int:
    from ..replay.rerun import unrestored
    from .rerun import print_rerun, run_into
    from .say import say

    found = await run_into(planned, wanted, name, seconds, as_json=as_json, outputs=False)
    lost = [*found.placed.notices, *unrestored(planned.recording, found)]
    messages = await _carry(planned, wanted, source, found, lost)
    print_rerun(planned, found, as_json=as_json, extra={"not_restored": lost, "messages": messages})
    if not as_json:
        for line in lost:
            say(f"Not restored: {line}")
        if messages:
            say(f"The model's conversation goes on from there too ({messages} messages).")
    return 1 if found.failed else 0


async def _carry(planned: Plan, wanted: Changed, source: SessionFolder, found: Rerun, lost: list[str]) -> int:
    """The conversation up to the last cell that stands; how many messages that is."""
    from ..replay.carry import carried, carry
    from ..session.folder import SessionStore
    from ..supervisor.client import connect

    stands = [s.cell for s in found.steps if s is not found.failed and s.cell.exit != "unrun"]
    last = stands[-1] if stands else None
    is_whole = found.failed is None and (wanted.until is None or wanted.until.exit != "unrun")
    what = carried(source, wanted.until if is_whole else last)
    number = last.number if last is not None else 0
    told = f"This session is a fork of {source.id}: it stands where that one stood after its cell {number}, replayed."
    told = " ".join([told, *(f"Not restored: {line}" for line in lost)])
    async with connect(SessionStore(planned.fresh.data).find(found.session)) as client:
        await carry(what, client, told)
        await client.notebook()
    return what.messages
