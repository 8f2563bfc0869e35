from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest_asyncio

from kernel_gateway.agent.listener import Silent
from kernel_gateway.agent.model import Model
from kernel_gateway.agent.pricing import Budget, Usage
from kernel_gateway.agent.turn import Turn, TurnResult
from kernel_gateway.demo.run import loopback_client
from kernel_gateway.journal import Record, read
from kernel_gateway.scripted_model import Entry, ScriptedModel
from kernel_gateway.supervisor.client import SessionClient
from kernel_gateway.supervisor.runs import RunResult

from .standin import InProcessSession

SYSTEM = "You are a test."


@dataclass
class Heard(Silent):
    """A listener that keeps what it was told, in order."""

    log: list[tuple[str, Any]] = field(default_factory=list)
    # Set at the first words: what came before them in the stream has arrived as well.
    spoken: asyncio.Event = field(default_factory=asyncio.Event)

    def text(self, delta: str) -> None:
        self.spoken.set()
        self.log.append(("text", delta))

    def thinking(self, delta: str) -> None:
        self.log.append(("thinking", delta))

    def retract(self, reason: str) -> None:
        self.log.append(("retract", reason))

    def tool_start(self, tool: str, cell: str, source: str) -> None:
        self.log.append(("start", source))

    def tool_end(self, result: RunResult) -> None:
        self.log.append(("end", result))

    def usage(self, usage: Usage, cost: float | None) -> None:
        self.log.append(("usage", (usage, cost)))

    def notice(self, text: str) -> None:
        self.log.append(("notice", text))

    def of(self, kind: str) -> list[Any]:
        return [value for k, value in self.log if k == kind]

    @property
    def words(self) -> str:
        return "".join(self.of("text"))


@dataclass
class Stage:
    """A session, a scripted model, and turns of the one with the other."""

    client: SessionClient
    script: ScriptedModel
    model: Model
    heard: Heard = field(default_factory=Heard)
    budget: Budget = field(default_factory=Budget)

    def turn(self) -> Turn:
        return Turn(self.client, self.model, self.heard, self.budget, system=SYSTEM)

    async def ask(self, prompt: str) -> TurnResult:
        return await self.turn().ask(prompt)

    def records(self, kind: str) -> list[Record]:
        return [r for r in read(self.client.folder.journal).records if r["kind"] == kind]


@asynccontextmanager
async def staged(client: SessionClient, turns: Sequence[Entry], *, by_position: bool = False) -> AsyncIterator[Stage]:
    """No pause before a broken reply is asked for again, and no retries by the SDK beyond its own two."""
    async with ScriptedModel(turns, by_position=by_position) as script, loopback_client(script.base_url) as sdk:
        yield Stage(client, script, Model("scripted", sdk, backoff=(0.0, 0.0)))


@pytest_asyncio.fixture
async def client(tmp_path: Path) -> AsyncIterator[InProcessSession]:
    session = InProcessSession(tmp_path / "amber-wren")
    yield session
    await session.close()
