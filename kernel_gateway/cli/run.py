"""``run``: a file, or standard input, as a cell of a session."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from .options import EgressName, EngineName, ImageName, Json, Mounts, SessionName


def run(
    file: Annotated[str, typer.Argument(help="A .py, .sh or .js file, or - for standard input.", show_default=False)],
    language: Annotated[
        str | None,
        typer.Option("--language", "-l", help="python, bash or node; else by the file's suffix.", show_default=False),
    ] = None,
    session: SessionName = None,
    name: Annotated[str | None, typer.Option("--name", help="The id of the new session.", show_default=False)] = None,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", help="Seconds, or a time such as 5 min; else no limit.", show_default=False),
    ] = None,
    mount: Mounts = None,
    engine: EngineName = None,
    image: ImageName = None,
    egress: EgressName = None,
    as_json: Json = False,
) -> None:
    """Run a file as a cell, on a new session or a given one. Exit code 0 when the cell succeeded, 1 when not."""
    from ..config import load_settings
    from .cells import cell_of, parse_timeout, run_cell
    from .opening import Opening

    settings = load_settings({"engine": engine, "image": image, "limits.egress": egress})
    request = cell_of(file, language, parse_timeout(timeout))
    opening = Opening(session, name, mount or ())
    raise typer.Exit(asyncio.run(run_cell(settings, opening, request, as_json=as_json)))
