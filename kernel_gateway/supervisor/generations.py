"""The kernels of a session, one after another: started, prepared by the setup cells, watched, and told about when they die."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from ..errors import KernelDied
from ..image.store import Image
from ..journal import Journal
from ..notebook.setup import bash_cell, node_cell, restart_cell, setup_cell
from ..sandbox.engine import Engine, Exit, Tier
from ..session.folder import SessionFolder
from .death import cause_of, death_notice, resume_notice
from .history import History
from .kernel import Kernel, start_kernel, until_ready
from .routing import Router
from .run import Run, from_request
from .runs import RunRequest

SETUP_SOURCES: dict[str, Callable[[], str]] = {"setup": setup_cell, "bash": bash_cell, "node": node_cell}

# Runs one of the supervisor's own cells on the live kernel; the extra fields go into its start record.
RunInternal = Callable[..., Awaitable[None]]


@dataclass
class Place:
    """Where a session's kernels live. ``folder`` and ``values`` (``session.json``) change when a ready sandbox is claimed."""

    folder: SessionFolder
    values: dict[str, Any]
    engine: Engine
    image: Image
    runtime: Path
    context: zmq.Context[zmq.Socket[bytes]]
    # The folder with the socket that leads out of the sandbox.
    egress: Path


class Generations:
    """At most one kernel lives; ``names`` are what its cells defined."""

    def __init__(
        self, place: Place, journal: Journal, history: History, router: Router, run_internal: RunInternal
    ) -> None:
        self.kernel: Kernel | None = None
        self.number = history.generation
        self.names = history.names
        # Told to whoever runs next: a death between two runs, or a resume.
        self.pending_notice: str | None = None
        self.has_cells = history.has_cells
        self._place, self._journal, self._router = place, journal, router
        self._run_internal = run_internal
        # Languages whose setup cell is in the notebook, and those whose setup ran in this kernel.
        self._recorded_setups = history.setups
        self._setups: set[str] = set()
        self._inputs = history.inputs
        self._starting = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        self._kill_cause: str | None = None
        self._died = self._stopped = False

    async def ensure(self, *, marker: bool = True, replay: bool = False) -> Kernel:
        """The live kernel; a new generation when there is none, with its setup cells and, after a death, the restart marker.

        ``replay``: whoever asks brings the variables back by hidden runs, so that there is nothing for a marker to clear.
        """
        async with self._starting:
            if self._stopped:
                raise KernelDied("stopped", "The session is being stopped.")
            if self.kernel is not None and self.kernel.ended:
                await self.kernel.buried.wait()
            if self.kernel is None:
                await self._start(marker and not replay, is_replay=replay)
            if self.kernel is None:
                raise KernelDied("crash", "It ended while its setup cells ran.")
            return self.kernel

    async def ensure_setup(self, kind: str) -> None:
        """The setup cell of a language: a visible cell the first time in the session, silent in later generations."""
        if kind in self._setups:
            return
        hidden = kind in self._recorded_setups
        name = f"setup-{kind}" + (f"-g{self.number}" if hidden else "")
        request = RunRequest(name, f"setup-{kind}", SETUP_SOURCES[kind](), tool="setup", tags=("kernel-gateway-setup",))
        await self._run_internal(self._own_run(request, hidden=hidden), source_kind=kind)
        self._setups.add(kind)
        self._recorded_setups.add(kind)

    async def kill(self, kernel: Kernel, cause: str) -> None:
        """End a kernel; returns when its death is recorded."""
        self._kill_cause = cause
        await kernel.sandbox.stop()
        await kernel.buried.wait()

    async def discard(self) -> None:
        """End the kernel for a restart that was asked for: no death."""
        if (kernel := self.kernel) is not None:
            self.kernel, self.names = None, []
            await kernel.stop()

    async def stop(self) -> None:
        """End the kernel; nothing starts any more."""
        self._stopped = True
        # A sandbox that is just being made is made first: half of one is harder to end.
        async with self._starting:
            kernel = self.kernel
        if kernel is not None:
            await self.kill(kernel, "stopped")

    async def _start(self, marker: bool, *, is_replay: bool = False) -> None:
        resumed, place = self.number > 0, self._place
        is_restart = not marker and not is_replay
        cause = "start" if not resumed else "restart" if is_restart else "death" if self._died else "resume"
        kernel = await start_kernel(
            self.number + 1,
            place.engine,
            place.image,
            place.folder,
            place.runtime,
            place.values,
            place.egress,
        )
        self.number += 1
        self._router.generation(kernel.session)
        try:
            kernel.connect(self._router.on_reply, self._router.on_iopub, self._router.on_too_large)
            await until_ready(kernel)
            facts: dict[str, Any] = {"engine": place.engine.name, "isolation": _isolation(kernel)}
            self._journal.append("kernel", generation=kernel.generation, cause=cause, **facts)
            self._record_mounts()
        except BaseException:
            await kernel.stop()
            raise
        self.kernel, self._kill_cause = kernel, None
        place.values = {**place.values, "isolation": facts["isolation"]}
        place.folder.write({**place.folder.read(), "isolation": facts["isolation"]})
        self._watching = asyncio.create_task(self._watch(kernel))
        await self._prepare(marker=marker and resumed and self.has_cells, cause=cause)

    def _record_mounts(self) -> None:
        """What is shown inside belongs to the inputs, though nothing is copied or read for it."""
        for mount in self._place.values.get("mounts", []):
            path, source = f"inputs/{mount['name']}", Path(mount["source"])
            if path not in self._inputs:
                size = source.stat().st_size if source.is_file() else None
                self._journal.append("input", path=path, sha256=None, bytes=size, origin="mount", mime=None)
                self._inputs.add(path)

    async def _prepare(self, *, marker: bool, cause: str) -> None:
        """Setup cells first; after a death or a resume also the marker, so that a re-run forgets what was lost here."""
        lost = self.names
        languages = [k for k in ("bash", "node") if k in self._recorded_setups] if self.number > 1 else []
        self._setups.clear()
        for kind in ("setup", *languages):
            await self.ensure_setup(kind)
        if marker and cause == "resume":
            self.pending_notice = resume_notice(lost)
        if marker:
            await self._run_internal(self._own_run(marker_request(self.number)))
        self._died = False

    def _own_run(self, request: RunRequest, *, hidden: bool = False) -> Run:
        session = self.kernel.session if self.kernel is not None else ""
        return from_request(request, session, hidden=hidden, internal=True)

    async def _watch(self, kernel: Kernel) -> None:
        exit_ = await kernel.sandbox.wait()
        await kernel.last_words()
        if self.kernel is kernel:
            self._record_death(kernel, exit_)
        kernel.buried.set()

    def _record_death(self, kernel: Kernel, exit_: Exit) -> None:
        """Told at once, with the cause and the names that are gone, before any NameError (P6)."""
        self.kernel, self._died = None, True
        cause, detail = cause_of(exit_, self._kill_cause)
        notice = death_notice(cause, detail, self.names)
        run = self._router.running
        self._journal.append(
            "death",
            reserved=True,
            generation=kernel.generation,
            cause=cause,
            detail=detail,
            run=run.request.run if run else None,
            names=self.names,
        )
        kernel.release()
        self.names = []
        if run is None:
            self.pending_notice = notice
            self._journal.sync()
        self._router.bury(notice, is_last=self._stopped)


def _isolation(kernel: Kernel) -> dict[str, Tier]:
    """What the engine enforces, and what the supervisor watches where it does not (`disk`)."""
    found = dict(kernel.isolation)
    return {**found, "disk": "watched"} if found.get("disk") == "none" else found


def marker_request(generation: int) -> RunRequest:
    """The restart marker that the supervisor itself puts after a death or a resume."""
    key = f"restart-g{generation}"
    return RunRequest(key, key, restart_cell(), tool="restart_kernel", tags=("kernel-gateway-restart",))
