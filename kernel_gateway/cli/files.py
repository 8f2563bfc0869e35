"""``files put | get | ls``: what lies in a session's workspace."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from .options import Json, SessionArgument

app = typer.Typer(help="Files of a session's workspace.", no_args_is_help=True)


@app.command()
def put(
    session: SessionArgument,
    files: Annotated[list[Path], typer.Argument(help="Files or folders of this machine.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Copy files or folders into the workspace; a name that is taken gets a number."""
    from .transfer import put_into

    asyncio.run(put_into(session, files, as_json=as_json))


@app.command()
def get(
    session: SessionArgument,
    path: Annotated[str, typer.Argument(help="A path as `files ls` shows it.", show_default=False)],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="Where to write it, or - for standard output.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Copy a file out of the workspace."""
    from .transfer import get_from

    get_from(session, path, output, force=force)


@app.command()
def ls(session: SessionArgument, as_json: Json = False) -> None:
    """List everything in the workspace; odd characters in names are shown escaped."""
    from .transfer import list_files

    list_files(session, as_json=as_json)
