"""Limits by version 2 cgroups: one group in the nearest place that hands out the memory and pids controllers."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from ...session.policy import Policy
from ..engine import Tier
from . import groups
from .interface import OWN_PROCESSES, Hierarchy

_PERIOD_MICROSECONDS = 100_000
_NEEDED = frozenset({"memory", "pids"})


@dataclass(frozen=True)
class CgroupV2:
    """One sandbox's group."""

    folder: Path
    rlimits: Sequence[tuple[int, int]] = ()

    @property
    def tiers(self) -> Mapping[str, Tier]:
        cpu: Tier = "enforced" if (self.folder / "cpu.max").exists() else "none"
        return {"memory": "enforced", "processes": "enforced", "cpu": cpu}

    def join_fds(self) -> list[int]:
        return groups.join_fds([self.folder])

    def confine(self, command: int) -> None:
        """It is in its groups since before it was bwrap."""

    def out_of_memory_kills(self) -> int:
        return groups.entry(self.folder / "memory.events", "oom_kill")

    def stats(self, init: int) -> dict[str, int]:
        return groups.counts(
            groups.number(self.folder / "memory.current"),
            groups.entry(self.folder / "memory.stat", "inactive_file"),
            groups.number(self.folder / "memory.peak"),
            groups.number(self.folder / "pids.current"),
            self.out_of_memory_kills(),
            OWN_PROCESSES,
        )

    def freeze(self, *, frozen: bool) -> bool:
        freezer = self.folder / "cgroup.freeze"
        if not freezer.exists():
            return False
        groups.write(freezer, int(frozen))
        return True

    async def exceeded(self, init: int) -> None:
        await asyncio.Event().wait()

    async def remove(self) -> None:
        await groups.remove([self.folder])


def parent(found: Mapping[str, Hierarchy]) -> Path | None:
    """The nearest group above us that hands out memory and pids and that we may write; None when there is none.

    A group with processes hands out nothing (cgroup-v2.rst, "no internal process"), so our own one hardly ever does. At the top
    root may switch the controllers on.
    """
    if "" not in found:
        return None
    top, own = found[""].mount_point, found[""].own
    for place in (own, *own.parents):
        if hands_out(place) and os.access(place, os.W_OK) and os.access(place / "cgroup.procs", os.W_OK):
            return place
        if place == top:
            break
    return top if _switch_on(top) else None


def hands_out(place: Path, controllers: Set[str] = _NEEDED) -> bool:
    return set(_words(place / "cgroup.subtree_control")) >= controllers


def _switch_on(top: Path) -> bool:
    if not set(_words(top / "cgroup.controllers")) >= _NEEDED:
        return False
    for controllers in ("+memory +pids", "+cpu"):
        with contextlib.suppress(OSError):
            groups.write(top / "cgroup.subtree_control", controllers)
    return hands_out(top)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def create(place: Path, policy: Policy) -> CgroupV2:
    """Raises OSError when the kernel refuses; nothing is left then."""
    groups.sweep([place])
    [folder] = groups.make([place])
    try:
        _set(folder, policy)
    except OSError:
        folder.rmdir()
        raise
    return CgroupV2(folder)


def _set(folder: Path, policy: Policy) -> None:
    groups.write(folder / "memory.max", policy.memory)
    # Absent where the machine has no swap.
    if (folder / "memory.swap.max").exists():
        groups.write(folder / "memory.swap.max", 0)
    groups.write(folder / "pids.max", policy.processes + OWN_PROCESSES)
    if (folder / "cpu.max").exists():
        groups.write(
            folder / "cpu.max", f"{max(1000, round(policy.cpus * _PERIOD_MICROSECONDS))} {_PERIOD_MICROSECONDS}"
        )
