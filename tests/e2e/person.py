"""A person at a terminal: the real command in processes of its own, on a data folder of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernel_gateway.journal import Record, read
from kernel_gateway.scripted_model import Entry, ScriptedModel, scripted_model_in_thread
from kernel_gateway.session.folder import SessionFolder, SessionStore
from tests.command import COMMAND, Finished
from tests.conftest import stop_session

SHARED = Path(__file__).parents[2].parent / "shared"


@dataclass
class Played:
    """A session after its turns: as its person finds it, and what the model was sent."""

    folder: SessionFolder
    asked: list[Finished]
    requests: list[dict[str, Any]]
    # As it was at the end of the last turn: a re-run in place changes files.
    notebook: dict[str, Any] = field(default_factory=dict[str, Any])
    records: list[Record] = field(default_factory=list[Record])

    def __post_init__(self) -> None:
        self.notebook = json.loads(self.folder.notebook.read_bytes())
        self.records = list(read(self.folder.journal).records)

    def of_kind(self, kind: str) -> list[Record]:
        return [r for r in self.records if r["kind"] == kind]

    @property
    def cells(self) -> list[dict[str, Any]]:
        return self.notebook["cells"]

    @property
    def sources(self) -> list[str]:
        return ["".join(cell["source"]) for cell in self.cells]

    def tool_results(self) -> dict[str, dict[str, Any]]:
        """What the model was last sent for each of its calls."""
        blocks = [b for r in self.requests for m in r["messages"] if m["role"] == "user" for b in _blocks(m)]
        return {b["tool_use_id"]: b for b in blocks if b["type"] == "tool_result"}


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


@dataclass
class Person:
    home: Path

    @property
    def data(self) -> Path:
        return self.home / "data"

    def environment(self, **more: str) -> dict[str, str]:
        """Without a key for the model, and with the images of this machine."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("ANTHROPIC_")}
        own = {
            "CELL_GATEWAY_DATA": str(self.data),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            # A ready sandbox would outlive the test.
            "CELL_GATEWAY_POOL_SIZE": "0",
        }
        return inherited | own | more

    def call(self, *arguments: str | Path, stdin: str = "", **environment: str) -> Finished:
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            check=False,
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment(**environment),
            cwd=self.home,
            timeout=110,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        """A command that goes on; its stdout and stderr are one pipe, read by line."""
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(PYTHONUNBUFFERED="1", **environment),
            cwd=self.home,
        )

    def folder(self, name: str = "last") -> SessionFolder:
        return SessionStore(self.data).find(name)

    def play(self, turns: Sequence[Entry], prompts: Sequence[str], *options: str | Path) -> Played:
        """Ask each prompt with ``ask`` in one session; the model follows the script."""
        asked: list[Finished] = []
        with scripted_model_in_thread(turns) as model:
            for prompt in prompts:
                which = ("--session", "last") if asked else options
                asked.append(self.call("ask", prompt, *which, **at(model)))
        for finished in asked:
            assert finished.code == 0, finished.err
        assert not model.refused
        return Played(self.folder(), asked, model.requests)

    def stop_all(self) -> None:
        for folder in SessionStore(self.data):
            asyncio.run(stop_session(folder))


def at(model: ScriptedModel) -> dict[str, str]:
    """The environment that sends the real SDK to the scripted model."""
    return {"ANTHROPIC_BASE_URL": model.base_url, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}


@contextmanager
def person(home: Path) -> Generator[Person, None, None]:
    """Whatever they leave running is stopped."""
    found = Person(home)
    try:
        yield found
    finally:
        found.stop_all()
