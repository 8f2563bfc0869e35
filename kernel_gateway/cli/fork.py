"""``cell-gateway fork``: a new session that stands where another stood after a cell."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from .options import Json, SessionArgument
from .replaying import Timeout
from .rerun import SessionNewName


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
    from ..replay.rerun import changed, unrestored
    from ..session.folder import SessionStore
    from .cells import parse_timeout
    from .replaying import plan
    from .rerun import print_rerun, run_into
    from .say import say

    settings, seconds = load_settings(), parse_timeout(timeout)
    planned = plan(settings, SessionStore(settings.data).find(session), None)
    wanted = changed(planned.recording, {}, {}, at)
    found = asyncio.run(run_into(planned, wanted, name, seconds, as_json=as_json, outputs=False))
    lost = unrestored(planned.recording, found)
    print_rerun(planned, found, as_json=as_json, extra={"not_restored": lost})
    if not as_json:
        for line in [*found.placed.notices, *lost]:
            say(f"Not restored: {line}")
    raise typer.Exit(1 if found.failed else 0)
