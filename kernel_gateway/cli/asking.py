"""What ``ask`` does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..agent.listener import Silent
from ..agent.model import Model
from ..agent.pricing import Budget
from ..agent.turn import TurnResult
from ..config import Settings
from ..errors import GatewayError
from ..supervisor.client import SessionClient
from .interrupts import Left
from .opening import Opening, opened, put_files, say_pictures, say_where
from .say import say, say_data
from .turns import (
    Talk,
    Teller,
    attachments_of,
    check_out,
    connect_model,
    described,
    say_cost,
    say_what_leaves,
    session_of,
    write_out,
)

INTERRUPTED = 130


@dataclass(frozen=True)
class Question:
    prompt: str
    files: Sequence[Path]
    max_turns: int
    max_cost: float | None
    out: Path | None

    @property
    def budget(self) -> Budget:
        return Budget(self.max_turns, self.max_cost)


async def ask_once(settings: Settings, opening: Opening, question: Question, *, as_json: bool) -> int:
    """Everything that can be wrong is found before a session is made: the key, the price, the place of the notebook."""
    check_out(question.out)
    model = connect_model(settings, session_of(settings, opening.session), question.max_cost)
    try:
        say_what_leaves(settings)
        async with opened(settings, opening) as client:
            return await _ask_safely(settings, client, model, question, as_json=as_json)
    finally:
        await model.close()


async def _ask_safely(
    settings: Settings, client: SessionClient, model: Model, question: Question, *, as_json: bool
) -> int:
    try:
        return await _ask(settings, client, model, question, as_json=as_json)
    except Left:
        say("\nThe turn stops here and can go on: the next ask or chat on this session resumes it first.")
        say_where(client.folder)
        return INTERRUPTED
    except GatewayError:
        with suppress(GatewayError):
            await write_out(client, None)
        say_where(client.folder)
        raise


async def _ask(settings: Settings, client: SessionClient, model: Model, question: Question, *, as_json: bool) -> int:
    teller = Silent() if as_json else Teller(client.folder)
    attachments = attachments_of(await put_files(client, question.files))
    talk = await Talk.begin(settings, client, model, teller, question.budget)
    try:
        await talk.resume()
        if isinstance(teller, Teller):
            teller.finish()
        result = await talk.ask(question.prompt, attachments)
    finally:
        if isinstance(teller, Teller):
            teller.finish()
    notebook = await write_out(client, question.out)
    if as_json:
        say_data({**described(client, result, attachments), "notebook": str(notebook)})
    else:
        if isinstance(teller, Teller):
            say_pictures(client.folder, teller.display)
        say_cost(result.usage, result.cost)
        say_where(client.folder, notebook)
    return exit_code(result)


def exit_code(result: TurnResult) -> int:
    if result.stop_reason == "interrupted":
        return INTERRUPTED
    return 0 if result.stop_reason in ("end_turn", "stop_sequence") else 1
