"""``chat``: a conversation in the terminal."""

from __future__ import annotations

import asyncio

import typer

from .ask import Out
from .options import EgressName, EngineName, Files, ImageName, MaxCost, MaxTurns, ModelName, Mounts, SessionName


def chat(
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
) -> None:
    """Talk with the model: Enter sends, Alt-Enter begins a line, Ctrl-C interrupts, Ctrl-D leaves, /help shows the rest."""
    from ..agent.keys import require_key
    from .say import require_terminal

    require_terminal()
    require_key()
    from ..config import load_settings
    from .asking import Question
    from .opening import Opening
    from .talking import talk_on

    settings = load_settings({"model": model, "engine": engine, "image": image, "limits.egress": egress})
    question = Question("", file or (), max_turns, max_cost, out)
    raise typer.Exit(asyncio.run(talk_on(settings, Opening(session, None, mount or ()), question)))
