"""``cell-gateway share``: a session as one page to send."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..sizes import shown_size
from ..terminal import clean_text
from .export import find_source
from .options import Json, complete_session
from .say import say, say_data


def register(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("share")(share)


def share(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SESSION|NOTEBOOK",
            help="A session's id, a unique prefix of it, last, or the path of an .ipynb file.",
            autocompletion=complete_session,
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page, or a folder for it.")] = Path(),
    limit: Annotated[int, typer.Option("--limit", min=0, help="MB of files in the page; larger ones are named.")] = 50,
    as_json: Json = False,
) -> None:
    """Write a session as one self-contained page: prompts, words, code, results, and the files themselves."""
    # nbconvert takes long to import, and other commands need none of it.
    from ..notebook.share import share as write

    shared = write(find_source(source), output, limit * 1024**2)
    if as_json:
        say_data({"path": str(shared.path), "bytes": shared.bytes, "notices": shared.notices})
        return
    for notice in shared.notices:
        say(clean_text(notice))
    say(f"One page of {shown_size(shared.bytes)}, to open in any browser; it needs no network.")
    print(shared.path)
