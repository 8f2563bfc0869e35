"""A turn of the model as a person sees it: words and cells live, then the cost; or its JSON."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from ..agent.conversation import Attachment, pending_turn
from ..agent.ground import Ground
from ..agent.keys import require_key, stand_in_key
from ..agent.listener import Listener, Silent
from ..agent.model import Model
from ..agent.pictures import Convert
from ..agent.pricing import Budget, Usage, require_price, shown_cost
from ..agent.turn import Turn, TurnResult
from ..config import Settings
from ..errors import BadRequest, GatewayError
from ..journal import read
from ..session.folder import SessionFolder, SessionStore
from ..sizes import shown_size
from ..supervisor.client import SessionClient
from ..supervisor.runs import Output, RunResult
from ..terminal import clean_text, escape_name
from .cells import say_end
from .display import Display, Words, words_on
from .interrupts import interruptible
from .questions import answering
from .say import has_colour, is_terminal, say

WHAT_LEAVES = (
    "What leaves this machine: your prompts, and of each cell its code, the text and pictures that it shows and the names of its files "
    "go to the model's service ({where}). Files themselves stay here, except what code prints of them. This is said once."
)
_LEXERS = {"%%bash": "bash", "%%node": "javascript"}


def connect_model(settings: Settings, folder: SessionFolder | None, max_cost: float | None) -> Model:
    """The model of the flag, else the session's own, else the settings'. Raises BadRequest before anything is made or spent."""
    require_key()
    name = settings["model"]
    if folder is not None and not settings.values["model"].source.startswith("--"):
        name = folder.read().get("model") or name
    model = Model.connect(name, api_key=stand_in_key(), prices=settings.prices)
    if max_cost is not None:
        require_price(model.name, model.price)
    return model


def say_what_leaves(settings: Settings) -> None:
    """Once for each data folder."""
    told = settings.data / ".told-what-leaves"
    if told.exists():
        return
    where = os.environ.get("ANTHROPIC_BASE_URL") or "Anthropic"
    say(textwrap.fill(WHAT_LEAVES.format(where=where), Console(stderr=True).width) + "\n")
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o711)
    told.touch()


@dataclass
class Talk:
    """One front end's conversation with a session: everything that its turns share."""

    client: SessionClient
    model: Model
    listener: Listener
    budget: Budget
    system: str
    convert: Convert

    @classmethod
    async def begin(
        cls, settings: Settings, client: SessionClient, model: Model, listener: Listener, budget: Budget
    ) -> Talk:
        ground = await Ground.of(settings, client)
        await model.learn()
        return cls(client, model, listener, budget, ground.system, ground.convert)

    async def ask(self, prompt: str, attachments: Sequence[Attachment]) -> TurnResult:
        """Raises Left when the person left by a second Ctrl-C; the turn waits to be resumed then."""
        turn = self._turn()
        async with answering(self.client):
            return await interruptible(turn.ask(prompt, attachments), turn.interrupt)

    async def resume(self) -> TurnResult | None:
        """The turn that broke off, finished; None when there is none."""
        if pending_turn(read(self.client.folder.journal).records) is None:
            return None
        say("Going on with the turn that broke off.")
        turn = self._turn()
        async with answering(self.client):
            return await interruptible(turn.resume(), turn.interrupt)

    def _turn(self) -> Turn:
        return Turn(self.client, self.model, self.listener, self.budget, system=self.system, convert=self.convert)


def session_of(settings: Settings, name: str | None) -> SessionFolder | None:
    return SessionStore(settings.data).find(name) if name is not None else None


def attachments_of(records: Sequence[dict[str, Any]]) -> list[Attachment]:
    return [Attachment(r["name"], r["path"], r["sha256"], r["bytes"], r["mime"]) for r in records]


@dataclass
class Teller(Silent):
    """Shows a turn: words and outputs on stdout, everything about them on stderr."""

    folder: SessionFolder
    display: Display = field(default_factory=Display)
    words: Words = field(default_factory=lambda: words_on(sys.stdout))
    _is_talking: bool = False
    _tool: str = ""
    _has_output: bool = False

    def text(self, delta: str) -> None:
        if not self._is_talking:
            delta = delta.lstrip("\n")
            if not delta:
                return
            self.words.file.write("\n")
            self._is_talking = True
        self.words.write(delta)

    def retract(self, reason: str) -> None:
        self._end_words()
        say(f"({reason})")

    def tool_start(self, tool: str, cell: str, source: str) -> None:
        self._end_words()
        self._tool, self._has_output = tool, False
        self.display.begin(cell)
        if source:
            _show_code(tool, source)

    def outputs(self, outputs: list[Output]) -> None:
        if not self._has_output and is_terminal(sys.stdout):
            print()
        self._has_output = True
        self.display.outputs(outputs)

    def tool_end(self, result: RunResult) -> None:
        if result.outputs and not self._has_output:
            # It ran before this front end was there.
            self.outputs(result.outputs)
        self.display.end()
        if self._tool == "present_files":
            for file in result.files:
                say(f"  → {self.folder.workspace}/{escape_name(file['path'])} ({shown_size(file['bytes'])})")
        else:
            say_end(result)

    def notice(self, text: str) -> None:
        self._end_words()
        say(text)

    def finish(self) -> None:
        """The turn is over."""
        self._end_words()
        self.display.end()

    def _end_words(self) -> None:
        if self._is_talking:
            self.words.end()
            self._is_talking = False


def _show_code(tool: str, source: str) -> None:
    """The cell's source, coloured on a terminal, marked by a bar elsewhere."""
    code = clean_text(source, colour=False)
    if not is_terminal(sys.stdout):
        print("\n" + "\n".join(f"| {line}" for line in code.splitlines()), flush=True)
        return
    out = Console(file=sys.stdout, highlight=False, no_color=not has_colour(sys.stdout))
    out.print()
    out.rule(Text(escape_name(tool)), style="dim", align="left")
    out.print(
        Syntax(
            code, _LEXERS.get(source.partition("\n")[0].strip(), "python"), background_color="default", word_wrap=True
        )
    )


def say_cost(usage: Usage, cost: float | None) -> None:
    say(f"\n{shown_cost(usage, cost)}")


def described(client: SessionClient, result: TurnResult, attachments: Sequence[Attachment]) -> dict[str, Any]:
    """The JSON of ``ask``."""
    inputs = [{"path": a.path, "sha256": a.sha256, "bytes": a.bytes} for a in attachments]
    where = {"session": client.folder.id, "notebook": str(client.folder.notebook)}
    return {**where, **result.to_json(), "inputs": inputs}


def check_out(out: Path | None) -> None:
    """Before anything is spent: ``--out`` must not replace a file that is no notebook of ours."""
    if out is None or not out.exists():
        return
    try:
        metadata: Any = json.loads(out.read_bytes())["metadata"]["kernel_gateway"]
    except (OSError, ValueError, KeyError, TypeError):
        metadata = None
    if not isinstance(metadata, dict):
        raise BadRequest(f"{out} exists and is no notebook of a session.", "Give another name with --out.")


async def write_out(client: SessionClient, out: Path | None) -> Path:
    """Bring the notebook up to date and copy it where it was wanted; the path to tell."""
    if notice := await client.notebook():
        say(notice)
    if out is None:
        return client.folder.notebook
    try:
        temporary = out.with_name(f".{out.name}.{os.getpid()}")
        shutil.copyfile(client.folder.notebook, temporary)
        temporary.replace(out)
    except OSError as error:
        raise GatewayError(
            f"{out} cannot be written: {error.strerror}.", f"The notebook is {client.folder.notebook}"
        ) from error
    return out.absolute()
