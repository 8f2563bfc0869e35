"""``cell-gateway rerun``: a notebook run anew into a session of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BadRequest
from .options import EngineName, ImageName, Json
from .replaying import Source, Strict, Timeout

if TYPE_CHECKING:
    from ..replay.rerun import Changed, Rerun
    from .replaying import Plan

SessionNewName = Annotated[str | None, typer.Option("--name", help="The id of the new session.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("rerun")(rerun)


def rerun(
    source: Source,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            metavar="OLD=NEW",
            help="A file in place of a recorded input. May be repeated.",
            show_default=False,
        ),
    ] = None,
    params: Annotated[
        list[str] | None,
        typer.Option(
            "--param", "-p", metavar="NAME=VALUE", help="Another value for a name. May be repeated.", show_default=False
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="CELL", help="The last cell to run: a number or id.", show_default=False),
    ] = None,
    name: SessionNewName = None,
    timeout: Timeout = None,
    image: ImageName = None,
    strict: Strict = False,
    engine: EngineName = None,
    as_json: Json = False,
) -> None:
    """Run a notebook again in a new session, with other inputs and values. Exit code 0: all ran; 1: a cell failed that had not."""
    from ..config import load_settings
    from ..replay.parameters import parse_value
    from ..replay.rerun import changed
    from .asking import INTERRUPTED
    from .cells import parse_timeout
    from .replaying import find_source, plan

    settings = load_settings({"engine": engine, "image": image})
    seconds = parse_timeout(timeout)
    planned = plan(settings, find_source(settings, source), image, strict=strict)
    files = {old: Path(new).expanduser() for old, new in split_pairs("--input", inputs)}
    values = {key: parse_value(value) for key, value in split_pairs("--param", params)}
    wanted = changed(planned.recording, files, values, until)
    found = asyncio.run(run_into(planned, wanted, name, seconds, as_json=as_json))
    print_rerun(planned, found, as_json=as_json)
    raise typer.Exit(INTERRUPTED if is_interrupted(found) else 1 if found.failed else 0)


def split_pairs(option: str, texts: list[str] | None) -> list[tuple[str, str]]:
    """``NAME=VALUE`` texts. Raises BadRequest."""
    pairs: list[tuple[str, str]] = []
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BadRequest(f"{option} {text!r} has no '='.", f"Write it as {option} name=value.")
        pairs.append((name, value))
    return pairs


async def run_into(
    planned: Plan,
    wanted: Changed,
    name: str | None,
    timeout: float | None = None,
    *,
    as_json: bool,
    outputs: bool = True,
) -> Rerun:
    """Run it in a new session that is kept; Ctrl-C interrupts the cell, twice leaves it where it is."""
    from ..replay.rerun import rerun as run_again
    from .opening import say_where
    from .replaying import Shown, interrupting
    from .say import say

    progress = Shown(quiet=as_json, outputs=outputs)
    origin: dict[str, Any] = planned.recording.origin()
    async with planned.fresh.kept(name, origin) as client, interrupting(progress, client.interrupt):
        try:
            return await run_again(wanted, client, mounted=planned.fresh.mounts, timeout=timeout, progress=progress)
        except asyncio.CancelledError:
            # The person left: the cell may go on, and what ran is in the notebook.
            progress.end()
            say("The session goes on with the cell that runs.")
            say_where(client.folder)
            raise
        finally:
            progress.end()


def is_interrupted(found: Rerun) -> bool:
    failed = found.failed
    return failed is not None and failed.result is not None and failed.result.exit == "interrupted"


def print_rerun(planned: Plan, found: Rerun, *, as_json: bool, extra: dict[str, Any] | None = None) -> None:
    from ..session.folder import SessionStore
    from .opening import say_where
    from .say import say, say_data

    if as_json:
        say_data({**found.to_json(), "environment": planned.environment.to_json(), **(extra or {})})
        return
    for change in found.changes:
        say(f"Changed: {change}")
    for step in found.passed:
        say(f"Cell {step.cell.number} was not run: {step.passed}.")
    if planned.environment.label:
        say(f"{planned.environment.label}.")
    if is_interrupted(found):
        say("It was interrupted; what ran until then is in the notebook.")
    elif found.failed is not None:
        say(f"Cell {found.failed.cell.number} failed, which did not fail when it was recorded; nothing after it ran.")
    else:
        say(f"{len(found.ran)} cells ran.")
    say_where(SessionStore(planned.fresh.data).find(found.session))
