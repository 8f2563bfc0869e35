"""``ask``: one prompt to the model."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from .options import EgressName, EngineName, Files, ImageName, Json, MaxCost, MaxTurns, ModelName, Mounts, SessionName

Out = Annotated[Path | None, typer.Option("--out", "-o", help="Also copy the notebook here.", show_default=False)]


def ask(
    prompt: Annotated[str, typer.Argument(help="What you want to know or have made.", show_default=False)],
    file: Files = None,
    mount: Mounts = None,
    session: SessionName = None,
    model: ModelName = None,
    engine: EngineName = None,
    image: ImageName = None,
    egress: EgressName = None,
    max_turns: MaxTurns = 50,
    max_cost: MaxCost = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Ask the model. What it runs become cells of a notebook, on a new session or a given one."""
    from ..agent.keys import require_key

    require_key()
    from ..config import load_settings
    from .asking import Question, ask_once
    from .opening import Opening

    settings = load_settings({"model": model, "engine": engine, "image": image, "limits.egress": egress})
    question = Question(prompt, file or (), max_turns, max_cost, out)
    raise typer.Exit(asyncio.run(ask_once(settings, Opening(session, None, mount or ()), question, as_json=as_json)))
