"""A session without sandbox and supervisor, for tests that need thousands of turns: a real folder and a real journal; cells run here."""

from __future__ import annotations

import asyncio
import contextlib
import io
from pathlib import Path
from typing import Any

from kernel_gateway.journal import Journal, read
from kernel_gateway.session.folder import SessionFolder
from kernel_gateway.session.policy import Policy
from kernel_gateway.supervisor.client import OnOutput, SessionClient
from kernel_gateway.supervisor.runs import RunRequest, RunResult

# The source of a cell that runs until it is interrupted.
FOREVER = "forever"


class InProcessSession(SessionClient):
    """``executed`` lists the run keys in order, each time one is executed; ``began`` is set whenever a cell of `FOREVER` runs."""

    def __init__(self, path: Path) -> None:  # pyright: ignore[reportMissingSuperCall]
        self.folder = SessionFolder(path)
        if not path.exists():
            self.folder.create({"session": path.name, "policy": Policy.default().to_json(), "uid": None, "mounts": []})
        self.journal = Journal(self.folder.journal)
        self.executed: list[str] = []
        self.began = asyncio.Event()
        self._stops: dict[str, asyncio.Event] = {}
        self._names: dict[str, Any] = {}

    async def run(self, request: RunRequest, on_output: OnOutput | None = None) -> RunResult:
        if known := self._recorded(request.run):
            return known
        self.executed.append(request.run)
        self._stops[request.run] = asyncio.Event()
        self.journal.append("start", run=request.run, cell=request.cell, source=request.source, turn=request.turn)
        outputs, end = await self._execute(request)
        if on_output is not None:
            on_output(outputs)
        self.journal.append("output", run=request.run, outputs=outputs)
        self.journal.append("end", run=request.run, execution_count=len(self.executed), duration=0.0, **end)
        result = self._recorded(request.run)
        assert result is not None
        return result

    async def restart(self, request: RunRequest, on_output: OnOutput | None = None) -> RunResult:
        self._names.clear()
        return await self.run(request, on_output)

    async def interrupt(self, run: str) -> bool:
        if run in self._stops:
            self._stops[run].set()
        return run in self._stops

    async def record(self, kind: str, **fields: Any) -> int:
        return self.journal.append(kind, **fields)["seq"]

    async def close(self) -> None:
        self.journal.close()

    def _recorded(self, run: str) -> RunResult | None:
        return RunResult.from_records(run, read(self.folder.journal).records)

    async def _execute(self, request: RunRequest) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        if request.source == FOREVER:
            self.began.set()
            await self._stops[request.run].wait()
            return [], {"exit": "interrupted", "ename": "KeyboardInterrupt", "evalue": ""}
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                exec(request.source, self._names)
            end: dict[str, Any] = {"exit": "ok"}
        except Exception as error:  # noqa: BLE001 - whatever a cell raises is its result
            end = {"exit": "error", "ename": type(error).__name__, "evalue": str(error)}
        outputs = (
            [{"output_type": "stream", "name": "stdout", "text": printed.getvalue()}] if printed.getvalue() else []
        )
        return outputs, end
