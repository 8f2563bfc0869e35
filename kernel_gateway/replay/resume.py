"""A stopped session comes back with its variables: its cells run again in a new kernel, hidden, and are compared with the record."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from ..egress import audit
from ..errors import SessionBusy
from ..journal import read
from ..sandbox.engine import Engine
from ..session.aside import place_of, put_back, set_aside
from ..session.folder import SessionFolder
from ..session.lifetime import held, stop_session
from ..supervisor.client import SessionClient, connect
from ..supervisor.death import some
from .compare.model import CellVerdict
from .inputs import Files
from .replay import Progress, Replayed, replay
from .sandboxed import compare_in_sandbox
from .source import RecordedCell, Recording, read_runs
from .verdict import GOOD
from .verify import Pair, with_bytes

# A replay that took longer, when it was recorded, is asked about first.
PATIENCE_SECONDS = 60.0
_UNSURE = "The session's cells were being run again in a fresh kernel, and not all of them did: names may be missing."

_INSTALLS = re.compile(r"[!%]?\s*((python3? -m |uv )?pip3? install|npm (install|i|ci|add))\b[^;&|]*$")


@dataclass(frozen=True)
class Outlook:
    """What bringing the variables back would take. ``outside`` are cells that used the network, ``acting`` those that may have acted there:
    more than reading a package registry.
    """

    recording: Recording
    names: list[str]
    outside: list[RecordedCell]
    acting: list[RecordedCell]

    @property
    def session(self) -> str:
        return self.recording.name

    @property
    def asks(self) -> bool:
        return self.recording.seconds > PATIENCE_SECONDS or bool(self.acting)

    @property
    def words(self) -> str:
        runs = self.recording.runs
        passed = sum(c.role == "passed" for c in self.recording.cells)
        told = f"{len(runs)} cell{_s(len(runs))}, which took {self.recording.seconds:.1f} s"
        told += f"; {passed} more are not run, since they were stopped or died" if passed else ""
        if self.outside:
            numbers = ", ".join(str(c.number) for c in self.outside)
            told += f"; used the network: cell {numbers}" + (" (packages only)" if not self.acting else "")
        return told

    def to_json(self) -> dict[str, Any]:
        return {
            "cells": len(self.recording.runs),
            "seconds": round(self.recording.seconds, 3),
            "network": [c.number for c in self.outside],
            "asks": self.asks,
        }


@dataclass
class Resumed:
    """What came of it: names that are back and those that are not, cells that gave something else, files that came out otherwise."""

    back: list[str]
    missing: list[str]
    differing: list[tuple[RecordedCell, CellVerdict]] = field(default_factory=list[tuple[RecordedCell, CellVerdict]])
    passed: list[Replayed] = field(default_factory=list[Replayed])
    files: list[str] = field(default_factory=list[str])
    notices: list[str] = field(default_factory=list[str])
    cells: int = 0

    @property
    def words(self) -> str:
        """For a person and for the model."""
        told = [f"The session was stopped; its {self.cells} cell{_s(self.cells)} ran again in a fresh kernel."]
        told += [f"Names back: {some(self.back)}."] if self.back else []
        told += [f"Names not back: {some(self.missing)}."] if self.missing else []
        told += [
            f"{_named(cell)} gave something else than before: {found.reason}." for cell, found in self.differing[:8]
        ]
        told += [f"{len(self.differing) - 8} more cells did."] if len(self.differing) > 8 else []
        told += [f"{_named(s.cell)} was not run: {s.passed}." for s in self.passed[:8]]
        told += (
            [f"Files are as they were before the stop, also those that came out otherwise: {some(self.files)}."]
            if self.files
            else []
        )
        return " ".join([*told, *self.notices])

    def to_json(self) -> dict[str, Any]:
        return {
            "cells": self.cells,
            "names_back": self.back,
            "names_missing": self.missing,
            "differs": [{"cell": c.number, "verdict": v.verdict, "reason": v.reason} for c, v in self.differing],
            "passed": [{"cell": s.cell.number, "why": s.passed} for s in self.passed],
            "files": self.files,
        }


def _named(cell: RecordedCell) -> str:
    return f"A cell that was deleted since, {cell.id}," if cell.is_deleted else f"Cell {cell.number}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def outlook(folder: SessionFolder) -> Outlook | None:
    """None when there is nothing to bring back. The session must be stopped."""
    records = read(folder.journal).records
    ended = (r["names"] for r in reversed(records) if r["kind"] in ("end", "death") and "names" in r)
    recording = read_runs(folder)
    if not any(c.role == "code" for c in recording.runs):
        return None
    used: dict[str, bool] = {}
    for entry in audit.read(folder.internals / "audit.jsonl"):
        if entry.get("verdict") == "allow" and isinstance(run := entry.get("run") or entry.get("after"), str):
            used[run] = used.get(run, False) or entry.get("mode") != "registry"
    outside = [c for c in recording.runs if c.run in used]
    return Outlook(recording, list(next(ended, [])), outside, [c for c in outside if used[c.run]])


def recover(folder: SessionFolder) -> None:
    """Bring files back that a replay which was killed had set aside; the session must not be running."""
    if place_of(folder).is_dir():
        with held(folder):
            put_back(folder)


async def resume(found: Outlook, engine: Engine, image: Any, *, progress: Progress | None = None) -> Resumed:
    """Run the recorded cells again in the stopped session, which runs afterwards. Its recorded outputs and its files stay as they are.

    When this is cancelled or fails the session is stopped again, with its files. Raises GatewayError.
    """
    recording = found.recording
    folder = recording.session
    assert folder is not None
    recording = replace(recording, files=Files((place_of(folder),), recording.files.blobs))
    try:
        async with connect(folder, prepare=lambda: _set_aside(folder)) as client:
            steps = await _replay(recording, client, progress)
            verdicts = await _compare(recording, client, steps, engine, image)
            files = await asyncio.to_thread(put_back, folder)
            result = await _result(found, client, steps, verdicts, files)
            await client.notify(result.words)
            await client.notebook()
            return result
    except BaseException as error:
        # When somebody has started it meanwhile it is theirs, and nothing of it was touched.
        if not isinstance(error, SessionBusy) or place_of(folder).is_dir():
            await asyncio.shield(_undo(folder))
        raise


def _set_aside(folder: SessionFolder) -> None:
    with held(folder):
        set_aside(folder)


async def _undo(folder: SessionFolder) -> None:
    await stop_session(folder)
    with held(folder):
        put_back(folder)


async def _replay(recording: Recording, client: SessionClient, progress: Progress | None) -> list[Replayed]:
    hello = await client.replay()
    await client.notify(_UNSURE)
    steps: list[Replayed] = []
    key = f"replay-g{hello['generation']}"
    mounted = [m["name"] for m in client.folder.read().get("mounts", [])]
    running = replay(recording, client, hidden=True, key=key, mounted=mounted, progress=progress)
    async with aclosing(running) as found:
        async for step in found:
            steps.append(step)
            if step.result is not None and step.result.exit == "died":
                # The next run would get a fresh kernel: nothing is back.
                break
    return steps


async def _compare(
    recording: Recording, client: SessionClient, steps: list[Replayed], engine: Engine, image: Any
) -> list[tuple[Replayed, CellVerdict]]:
    ran = [s for s in steps if s.result is not None]
    pairs = [Pair(with_bytes(s.cell.as_compared(), [s.again], recording.files), s.again) for s in ran]
    verdicts = await compare_in_sandbox(engine, image, pairs) if pairs else []
    for step, verdict in zip(ran, verdicts, strict=True):
        assert step.result is not None
        await client.record("replayed", cell=step.cell.id, run=step.result.run, verdict=verdict.verdict)
    return list(zip(ran, verdicts, strict=True))


def _is_installed(step: Replayed) -> bool:
    """A cell that only installs packages says otherwise now when they are there: they are part of the session."""
    lines = [line.strip() for line in step.cell.source.splitlines()]
    working = [line for line in lines if line and not line.startswith(("#", "%%"))]
    return step.again.exit == "ok" and bool(working) and all(_INSTALLS.match(line) for line in working)


async def _result(
    found: Outlook,
    client: SessionClient,
    steps: list[Replayed],
    verdicts: list[tuple[Replayed, CellVerdict]],
    files: list[str],
) -> Resumed:
    now = set((await client.hello())["names"])
    return Resumed(
        back=[n for n in found.names if n in now],
        missing=[n for n in found.names if n not in now],
        differing=[(s.cell, v) for s, v in verdicts if v.verdict not in GOOD and not _is_installed(s)],
        passed=[s for s in steps if s.result is None],
        files=files,
        cells=len(verdicts),
    )
