"""Replay a notebook into a session, cell by cell: the one function behind resume, fork, rerun, verify and open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..agent.changes import WorkspaceChanges
from ..errors import BadRequest, NotFound, UnsafePath
from ..journal import BlobStore, read
from ..notebook.build import fold
from ..notebook.edits import Change
from ..notebook.outputs import mapping, notebook_outputs, valid_output
from ..notebook.render import SETUP_TAG
from ..notebook.setup import needs
from ..session.files import get
from ..session.folder import SessionFolder
from ..supervisor.client import SessionClient
from ..supervisor.runs import Output, RunRequest, RunResult
from .compare.model import Cell, Reference
from .inputs import Placed, place_inputs
from .packages import differences
from .sandboxed import FILE_BYTES
from .source import RESTART_TAG, RecordedCell, Recording

# Seconds that a cell may take which took less when it was recorded; one that took long gets four times that.
CELL_SECONDS = 300.0
# Bytes of changed files that are held for one replay; what is beyond is known by its hash.
HELD_BYTES = 256 * 1024**2
_OURS = (SETUP_TAG, RESTART_TAG, "raises-exception")


@dataclass(frozen=True)
class Replayed:
    """A cell that was replayed, or passed over: then ``result`` is None and ``passed`` says why.

    ``again`` is what it gave now; its files hold their bytes only where they are not as recorded.
    """

    cell: RecordedCell
    result: RunResult | None
    again: Cell
    passed: str = ""

    @property
    def fails_now(self) -> bool:
        """It ended worse than it was recorded to: what follows stands on nothing."""
        return self.result is not None and self.result.exit != "ok" and self.result.exit != self.cell.exit


@dataclass
class Progress:
    """Who is told: of a cell that begins, with the number of the last one; of its outputs as they come; of what is said besides."""

    begin: Callable[[RecordedCell, int], None] = lambda cell, total: None
    output: Callable[[list[Output]], None] = lambda outputs: None
    notice: Callable[[str], None] = lambda text: None
    # The run that runs now, for whoever wants to interrupt it.
    running: str | None = field(default=None)


async def replay(
    recording: Recording,
    into: SessionClient,
    *,
    until: RecordedCell | None = None,
    timeout: float | None = None,
    hidden: bool = False,
    key: str = "replay",
    texts: bool = False,
    mounted: Iterable[str] = (),
    progress: Progress | None = None,
    placed: Placed | None = None,
) -> AsyncGenerator[Replayed]:
    """Run a notebook's code cells in a session that has not run any, in order, and yield what each gave; break off to stop.

    Inputs are put in first, later uploads before the cell that was the first to find them. Our own setup cells are not run: the
    supervisor does. A restart marker restarts the kernel. What timed out, was interrupted or died is passed over. ``hidden`` runs leave
    no cells in the notebook; else ``texts`` are recorded too, and cells that wait to be run. ``timeout`` is in seconds a cell. ``key``
    begins the keys of the runs.
    """
    told, placed = progress or Progress(), placed or Placed()
    one = _Replay(recording, into, timeout, hidden, key, told, placed, tuple(mounted))
    await one.place(None)
    await one.changes.look()
    for cell in recording.cells:
        if cell.role == "text":
            if texts and not hidden:
                await into.record("words", cell=cell.id, text=cell.source, author=cell.author)
        elif cell.role == "passed":
            if texts and not hidden and cell.exit == "unrun":
                await into.record("edit", by="person", changes=[_as_inserted(cell)])
            yield Replayed(cell, None, Cell(cell.source, exit=None), _why_passed(cell))
        elif cell.is_run:
            yield await one.run(cell)
        if until is not None and cell.number == until.number:
            return


def _as_inserted(cell: RecordedCell) -> Change:
    # After none that is here: at the end.
    place = {"op": "insert", "cell": cell.id, "after": cell.id, "cell_type": "code", "source": cell.source}
    return {**place, "metadata": {"tags": list(cell.tags)}} if cell.tags else place


def _why_passed(cell: RecordedCell) -> str:
    if cell.exit == "unrun":
        return "it never ran"
    why = {
        "timeout": "it timed out",
        "interrupted": "it was interrupted",
        "died": "the kernel died in it",
        "aborted": "it never ran",
        "running": "it had not ended",
    }
    return f"{why.get(cell.exit, 'it did not end')} when it was recorded"


@dataclass
class _Replay:
    recording: Recording
    into: SessionClient
    timeout: float | None
    hidden: bool
    key: str
    told: Progress
    placed: Placed
    mounted: Sequence[str]
    _held: int = 0

    def __post_init__(self) -> None:
        self.changes = WorkspaceChanges(self.into.folder.workspace)
        self._current: dict[str, str] = {}

    async def place(self, before: str | None) -> None:
        """The inputs that were there from the start, or those that came just before a run."""
        inputs = [i for i in self.recording.inputs if i.before == before]
        if not inputs:
            return
        said = len(self.placed.notices)
        files = self.recording.files
        await place_inputs(inputs, files, self.into, self.placed, self.mounted, is_recorded=self.hidden)
        self._current = {**self._current, **{p: r.sha256 for p, r in self.placed.files.items()}}
        for notice in self.placed.notices[said:]:
            self.told.notice(notice)

    async def run(self, cell: RecordedCell) -> Replayed:
        if cell.run and any(i.before == cell.run for i in self.recording.inputs):
            await self.place(cell.run)
            await self.changes.look()
        request = self._request(cell)
        self.told.begin(cell, max(c.number for c in self.recording.runs))
        self.told.running = request.run
        execute = self.into.restart if cell.role == "restart" else self.into.run
        result = await execute(request, self.told.output)
        self.told.running = None
        self._tell_packages(cell, result)
        result.files, total = await self.changes.scan()
        if result.files and not self.hidden:
            await self.into.record("files", run=request.run, files=result.files, total=total)
        files = await asyncio.to_thread(self._files, cell, result.files)
        outputs = notebook_outputs([valid_output(o) for o in result.outputs])
        again = Cell(cell.source, outputs, result.exit, result.ename or "", result.evalue or "", files)
        return Replayed(cell, result, again)

    def _request(self, cell: RecordedCell) -> RunRequest:
        is_restart = cell.role == "restart"
        return RunRequest(
            run=f"{self.key}-{cell.number}",
            cell=cell.id,
            source=cell.source,
            author="model" if cell.author == "model" else "person",
            tool="restart_kernel" if is_restart else next(iter(needs(cell.source)), "python"),
            timeout=self.timeout or max(CELL_SECONDS, 4 * cell.duration),
            tags=[*([RESTART_TAG] if is_restart else []), *(t for t in cell.tags if t not in _OURS)],
            hidden=self.hidden,
            pins=[p.pin for p in cell.packages],
        )

    def _tell_packages(self, cell: RecordedCell, result: RunResult) -> None:
        """With the notices of the whole replay. Where a session comes back, its packages are there already: nothing is said."""
        if cell.packages and not self.hidden:
            for notice in differences(cell.number, cell.packages, result.packages):
                self.placed.notices.append(notice)
                self.told.notice(notice)

    def _files(self, cell: RecordedCell, found: Sequence[dict[str, Any]]) -> dict[str, bytes | Reference]:
        """What the cell made, as far as the record can say anything of it."""
        files: dict[str, bytes | Reference] = {}
        for file in found:
            path, digest = file["path"], file["sha256"] or ""
            is_new = self._current.get(path) != digest
            self._current[path] = digest
            recorded = cell.files.get(path)
            if recorded is None and not (is_new and cell.knows_files):
                continue
            reference = Reference(digest, file["bytes"])
            is_equal = recorded is not None and recorded.sha256 == digest
            files[path] = reference if is_equal else self._bytes(reference, path)
        return files

    def _bytes(self, reference: Reference, path: str) -> bytes | Reference:
        if reference.size > FILE_BYTES or self._held + reference.size > HELD_BYTES:
            return reference
        try:
            with get(self.into.folder, path) as file:
                content = b"".join(file.chunks())
        except (BadRequest, NotFound, UnsafePath, OSError):
            return reference
        self._held += len(content)
        return content


def settled(steps: Sequence[Replayed], folder: SessionFolder) -> list[Replayed]:
    """The same with outputs as the notebook has them at the end: late ones, and displays that later cells changed."""
    notebook = fold(read(folder.journal).records, BlobStore(folder.blobs))
    found: dict[str, list[Output]] = {}
    for cell in notebook["cells"]:
        run = mapping(mapping(cell["metadata"]).get("kernel_gateway")).get("run")
        if cell["cell_type"] == "code" and isinstance(run, str):
            found[run] = cell["outputs"]
    return [
        replace(s, again=replace(s.again, outputs=found[s.result.run])) if s.result and s.result.run in found else s
        for s in steps
    ]
