"""``cell-gateway export``: a session or a notebook as a file to keep or to send."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..session.folder import SessionFolder, SessionStore
from .options import Json, complete_session
from .say import say, say_data


def register(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("export")(export)


def export(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SESSION|NOTEBOOK",
            help="A session's id, a unique prefix of it, last, or the path of an .ipynb file.",
            autocompletion=complete_session,
            show_default=False,
        ),
    ],
    to: Annotated[
        str,
        typer.Option("--to", help="ipynb, html, py, pdf, or zip: all of it, to run elsewhere."),
    ] = "ipynb",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The file, or a folder for it; else beside the notebook.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a session or a notebook as a file, and tell which cells would not run elsewhere."""
    # nbformat takes long to import, and other commands need none of it.
    from ..notebook.export import export as write

    exported = write(find_source(source), to, output)
    if as_json:
        found = [asdict(p) for p in exported.problems]
        say_data({"path": str(exported.path), "to": to, "problems": found, "notices": exported.notices})
        return
    for notice in exported.notices:
        say(notice)
    if exported.problems and to == "ipynb":
        say("Cells that would not run elsewhere as they did here:")
        for problem in exported.problems:
            say(f"  {problem}")
    print(exported.path)


def find_source(source: str) -> Path | SessionFolder:
    """A path when it looks like one, else a session. Raises NotFound."""
    from ..config import load_settings

    if source.endswith(".ipynb") or "/" in source or source in (".", ".."):
        return Path(source)
    return SessionStore(load_settings().data).find(source)
