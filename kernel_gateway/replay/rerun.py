"""A notebook run anew into a session of its own: with other inputs and values, or only up to a cell."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..supervisor.client import SessionClient
from .compare.model import Reference
from .inputs import Placed, with_replacements
from .parameters import with_parameters
from .replay import Progress, Replayed, replay
from .source import RecordedCell, Recording


@dataclass
class Rerun:
    """What became of it. ``failed`` is the cell that failed and did not fail when it was recorded: nothing after it ran."""

    session: str
    steps: list[Replayed] = field(default_factory=list[Replayed])
    changes: list[str] = field(default_factory=list[str])
    placed: Placed = field(default_factory=Placed)
    failed: Replayed | None = None

    @property
    def ran(self) -> list[Replayed]:
        return [s for s in self.steps if s.result is not None]

    @property
    def passed(self) -> list[Replayed]:
        return [s for s in self.steps if s.result is None]

    def to_json(self) -> dict[str, Any]:
        return {
            "session": self.session,
            "failed": None if self.failed is None else self.failed.cell.number,
            "changes": self.changes,
            "notices": self.placed.notices,
            "cells": [
                {
                    "cell": s.cell.number,
                    "id": s.cell.id,
                    "exit": s.result.exit if s.result else None,
                    "recorded": s.cell.exit,
                    "passed": s.passed or None,
                }
                for s in self.steps
            ],
        }


@dataclass(frozen=True)
class Changed:
    """A notebook with what a person changed in it. ``until`` is the last cell to run."""

    recording: Recording
    changes: list[str]
    until: RecordedCell | None


def changed(
    recording: Recording, inputs: Mapping[str, Path], values: Mapping[str, Any], until: str | None = None
) -> Changed:
    """Raises BadRequest and NotFound for an unknown input, name or cell, before anything is made."""
    last = recording.find(until) if until is not None else None
    found, said = with_parameters(recording, values)
    if last is not None and len(found.cells) != len(recording.cells):
        last = found.find(last.id)
    said += [f"input {path}: {local.name}" for path, local in inputs.items()]
    replaced = with_replacements(found.inputs, inputs)
    return Changed(replace(found, inputs=replaced), said, last)


async def rerun(
    wanted: Changed,
    into: SessionClient,
    *,
    mounted: list[str] | None = None,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> Rerun:
    """Run it in a fresh session, texts and all; a cell that fails now is the last. The notebook is written at the end in any case."""
    found = Rerun(into.folder.id, changes=wanted.changes)
    running = replay(
        wanted.recording,
        into,
        until=wanted.until,
        timeout=timeout,
        texts=True,
        mounted=mounted or (),
        progress=progress,
        placed=found.placed,
    )
    try:
        async with aclosing(running) as steps:
            async for step in steps:
                found.steps.append(step)
                if step.fails_now:
                    found.failed = step
                    break
    finally:
        if wanted.changes or found.failed is not None:
            await into.record("notice", text=_told(found))
        await into.notebook()
    return found


def _told(found: Rerun) -> str:
    parts = [f"This notebook was run again with: {'; '.join(found.changes)}."] if found.changes else []
    if found.failed is not None:
        parts.append(f"It stopped at cell {found.failed.cell.number}, which did not fail when it was recorded.")
    return " ".join(parts)


def unrestored(recording: Recording, found: Rerun) -> list[str]:
    """What of the recorded state a replay could not bring back, in words."""
    stopped = [s for s in found.passed if s.cell.exit != "unrun"]
    said = [f"Cell {s.cell.number} was not run: {s.passed}; what it did until then is not there." for s in stopped]
    edited = [s.cell.number for s in found.ran if s.cell.is_edited]
    said += [f"Cell {number} was edited after it ran, and ran as it stands now." for number in edited]
    last: dict[str, tuple[int, Reference]] = {}
    now: dict[str, str] = {}
    for step in found.steps:
        last |= {path: (step.cell.number, r) for path, r in step.cell.files.items()}
        now |= {f["path"]: f["sha256"] for f in step.result.files} if step.result else {}
    for path, (number, reference) in sorted(last.items()):
        if path not in now:
            said.append(f"The file {path}, made by cell {number}, was not made again.")
        elif now[path] != reference.sha256:
            said.append(f"The file {path}, made by cell {number}, has other bytes than then.")
    return said
