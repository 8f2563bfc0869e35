"""Whether a notebook still gives what it gave: replayed in a fresh sandbox, compared cell by cell in another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from ..sandbox.engine import Engine
from ..supervisor.client import SessionClient
from .compare.model import Cell, Reference
from .compare.wire import Pair
from .environment import Environment
from .fresh import Fresh
from .inputs import Files, Placed
from .replay import Progress, Replayed, replay, settled
from .sandboxed import FILE_BYTES, compare_in_sandbox
from .source import RecordedCell, Recording
from .verdict import NotebookVerdict, summarise


@dataclass(frozen=True)
class Verification:
    """``pairs`` and the verdict's cells are in one order. ``passed`` are cells that were not run, with the reason."""

    recording: Recording
    environment: Environment
    verdict: NotebookVerdict
    pairs: list[Pair]
    notices: list[str] = field(default_factory=list[str])
    passed: list[Replayed] = field(default_factory=list[Replayed])
    # Cells that had never run when the notebook was written, or were cleared: only whether they run is judged.
    unrecorded: int = 0
    session: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "notebook": self.recording.name,
            **self.verdict.to_json(),
            "environment": self.environment.to_json(),
            "notices": self.notices,
            "passed": [{"cell": p.cell.number, "id": p.cell.id, "why": p.passed} for p in self.passed],
            "unrecorded": self.unrecorded,
            "session": self.session or None,
        }


@dataclass
class Attempt:
    """One replay: what came of each cell, up to the first that fails now unless it was to go on."""

    steps: list[Replayed]
    placed: Placed
    session: str = ""

    def again(self) -> dict[int, Cell]:
        return {s.cell.number: s.again for s in self.steps if s.result is not None}


async def verify(
    recording: Recording,
    fresh: Fresh,
    environment: Environment,
    engine: Engine,
    *,
    twice: bool = False,
    keep_going: bool = False,
    timeout: float | None = None,
    keep: str | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Replay and compare. What cannot be run at all is a verdict too (``cannot_run``). ``keep``: the name of a session to keep.

    Without ``keep_going`` the cells after the first that fails now are not run, and are ``missing``. A cell that a person wrote and never
    ran has nothing to be compared with and is passed over. Raises EngineUnavailable.
    """
    recording = recording.without_unrun()
    if not recording.runs:
        return Verification(recording, environment, summarise([], cannot_run="it has no code cells."), [])
    told = progress or Progress()
    first = await attempt(recording, fresh, keep_going=keep_going, timeout=timeout, keep=keep, progress=told)
    second: dict[int, Cell] = {}
    if twice:
        told.notice("Once more, to tell what is new in each run from what changed.")
        second = (await attempt(recording, fresh, keep_going=keep_going, timeout=timeout, progress=told)).again()
    again = first.again()
    cells = recording.runs
    pairs = [_pair(c, again.get(c.number), second.get(c.number), recording.files) for c in cells]
    told.notice("Comparing.")
    found = await compare_in_sandbox(engine, environment.judge.root, pairs)
    # The texts that went into the sandbox had no sources.
    verdict = summarise(
        [replace(v, source=c.source) for v, c in zip(found, cells, strict=True)],
        [c.number for c in cells],
        edited=[c.number for c in cells if c.is_edited],
    )
    passed = [s for s in first.steps if s.result is None]
    unrecorded = sum(not c.is_recorded for c in cells)
    return Verification(recording, environment, verdict, pairs, first.placed.notices, passed, unrecorded, first.session)


async def attempt(
    recording: Recording,
    fresh: Fresh,
    *,
    keep_going: bool = False,
    timeout: float | None = None,
    keep: str | None = None,
    progress: Progress | None = None,
) -> Attempt:
    """One replay in a session of its own."""
    context = fresh.kept(keep, recording.origin()) if keep else fresh.temporary()
    async with context as client:
        placed = Placed()
        steps = await _steps(recording, client, fresh.mounts, keep_going, timeout, progress, placed)
        if keep:
            await client.notebook()
        return Attempt(settled(steps, client.folder), placed, client.folder.id if keep else "")


async def _steps(
    recording: Recording,
    client: SessionClient,
    mounted: Sequence[str],
    keep_going: bool,
    timeout: float | None,
    progress: Progress | None,
    placed: Placed,
) -> list[Replayed]:
    steps: list[Replayed] = []
    running = replay(recording, client, timeout=timeout, mounted=mounted, progress=progress, placed=placed)
    async with aclosing(running) as found:
        async for step in found:
            steps.append(step)
            if step.fails_now and not keep_going:
                break
    return steps


def _pair(cell: RecordedCell, again: Cell | None, second: Cell | None, files: Files) -> Pair:
    now = again or Cell(cell.source, exit=None)
    recorded = cell.as_compared() if cell.is_recorded else _as_if_recorded(now, cell.source)
    return Pair(with_bytes(recorded, [now, *([second] if second else [])], files), now, second)


def _as_if_recorded(again: Cell, source: str) -> Cell:
    """Nothing is known of a cell that never ran, but that it should run."""
    outputs = [o for o in again.outputs if o.get("output_type") != "error"]
    return Cell(source, outputs, "ok", files=again.files)


def with_bytes(recorded: Cell, others: Sequence[Cell], files: Files) -> Cell:
    """The recorded cell with the bytes of those files that came out otherwise, where they are still to be had."""
    found: dict[str, bytes | Reference] = {}
    for path, one in recorded.files.items():
        is_equal = all(_hash(c.files, path) == one.sha256 for c in others) if isinstance(one, Reference) else True
        content = None if is_equal or not isinstance(one, Reference) else files.read(path, one.sha256, FILE_BYTES)
        found[path] = one if content is None else content
    return replace(recorded, files=found)


def _hash(files: Mapping[str, bytes | Reference], path: str) -> str | None:
    one = files.get(path)
    return one.sha256 if isinstance(one, Reference) else None
