"""What a front end uses: connect to a session's supervisor, starting it when there is none, and talk over its control socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from ..session.folder import SessionFolder
from .runs import Output, RunRequest, RunResult

OnOutput = Callable[[list[Output]], None]


class SessionClient:
    """One connection. Dropping it never harms what runs."""

    folder: SessionFolder

    async def run(self, request: RunRequest, on_output: OnOutput | None = None) -> RunResult:
        """Execute once and return when the end is on disk. A known run is awaited, not repeated. A cell that fails is a result."""
        raise NotImplementedError

    async def restart(self, request: RunRequest, on_output: OnOutput | None = None) -> RunResult:
        """A fresh kernel generation, then ``request`` (the restart marker cell) as its first visible run."""
        raise NotImplementedError

    async def interrupt(self, run: str) -> bool:
        """False when that run is neither running nor queued."""
        raise NotImplementedError

    async def record(self, kind: str, **fields: Any) -> int:
        """Append a prompt, words, request, message, turn, input, files or notice record; returns its seq once it is durable."""
        raise NotImplementedError

    async def notebook(self) -> None:
        """Return when ``notebook.ipynb`` holds everything recorded so far."""
        raise NotImplementedError

    async def hello(self) -> dict[str, Any]:
        """``state``, ``generation``, ``connection_file``, ``names``, ``pid``."""
        raise NotImplementedError

    async def stats(self) -> dict[str, Any]:
        raise NotImplementedError

    async def stop(self) -> None:
        """End kernel and supervisor; returns when both are gone."""
        raise NotImplementedError


@asynccontextmanager
async def connect(folder: SessionFolder, *, start: bool = True) -> AsyncIterator[SessionClient]:
    """Raises SupervisorUnavailable; with ``start=False`` also when none is running. EngineUnavailable and ImageUnavailable pass through."""
    raise NotImplementedError
    yield SessionClient()
