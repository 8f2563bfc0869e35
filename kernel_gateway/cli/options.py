"""Options that several commands take, and the completion of session names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def complete_session(incomplete: str) -> list[str]:
    """Ids for the shell's completion."""
    from ..config import load_settings
    from ..errors import GatewayError
    from ..session.folder import SessionStore

    try:
        ids = [folder.id for folder in SessionStore(load_settings().data)]
    except GatewayError:
        return []
    return [name for name in [*ids, "last"] if name.startswith(incomplete)]


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SessionName = Annotated[
    str | None,
    typer.Option(
        "--session", "-s", help="A session's id, a unique prefix of it, or: last.", autocompletion=complete_session
    ),
]
SessionArgument = Annotated[
    str,
    typer.Argument(
        help="A session's id, a unique prefix of it, or: last.", autocompletion=complete_session, show_default=False
    ),
]
SessionArguments = Annotated[
    list[str] | None,
    typer.Argument(help="Ids, unique prefixes, or: last.", autocompletion=complete_session, show_default=False),
]
Files = Annotated[
    list[Path] | None,
    typer.Option("--file", "-f", help="Copy a file or folder into the workspace. May be repeated.", show_default=False),
]
Mounts = Annotated[
    list[str] | None,
    typer.Option(
        "--mount",
        "-m",
        metavar="PATH[:NAME]",
        help="Show a file or folder read-only at inputs/NAME, without copying it. May be repeated.",
        show_default=False,
    ),
]
ModelName = Annotated[str | None, typer.Option("--model", help="The model's name.", show_default=False)]
EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine", help="What makes the sandbox: auto, bubblewrap, docker, gvisor or podman.", show_default=False
    ),
]
EgressName = Annotated[
    str | None,
    typer.Option("--egress", help="A new session's network: none, registries, list or ask.", show_default=False),
]
ImageName = Annotated[
    str | None,
    typer.Option("--image", help="The image of a new session.", show_default=False),
]
MaxTurns = Annotated[int, typer.Option("--max-turns", help="Model calls for one prompt, at most.", min=1)]
MaxCost = Annotated[
    float | None,
    typer.Option("--max-cost", help="US dollars for one prompt, at most.", show_default=False),
]
