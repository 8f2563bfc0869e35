"""``sessions list | show | stop | resume | delete | audit | allow | cut``."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from . import network
from .options import Json, SessionArgument, SessionArguments

app = typer.Typer(help="Sessions: what there is, what runs, what to end.", no_args_is_help=True)


@app.command("list")
def list_(
    show_all: Annotated[bool, typer.Option("--all", "-a", help="Also those beyond the twenty used last.")] = False,
    as_json: Json = False,
) -> None:
    """List sessions, those used last first."""
    from .overview import print_list

    asyncio.run(print_list(show_all=show_all, as_json=as_json))


@app.command()
def show(session: SessionArgument, as_json: Json = False) -> None:
    """Show one session: its state, limits, cells and files."""
    from .overview import print_session

    asyncio.run(print_session(session, as_json=as_json))


@app.command()
def stop(
    sessions: SessionArguments = None,
    stop_all: Annotated[
        bool, typer.Option("--all", "-a", help="All that run, and the ready sandboxes that wait for a session.")
    ] = False,
) -> None:
    """End sessions' kernels. Their notebooks and files stay; their variables go."""
    from .ending import stop as stop_now

    asyncio.run(stop_now(sessions or [], stop_all=stop_all))


@app.command()
def resume(
    session: SessionArgument,
    replay: Annotated[
        str | None,
        typer.Option(
            "--replay",
            help="Run its cells again to have the variables back: yes, no or files. Else you are asked when it takes long.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Start a stopped session again, with all its files, and with its variables by running its cells again."""
    from .ending import resume as resume_now

    asyncio.run(resume_now(session, replay, as_json=as_json))


@app.command()
def delete(
    sessions: SessionArguments = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", metavar="TIME", help="All stopped ones not used for so long: 30d.", show_default=False
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete sessions for good: notebook, workspace and record."""
    from .ending import delete as delete_now

    asyncio.run(delete_now(sessions or [], older_than, yes=yes))


network.register(app)
