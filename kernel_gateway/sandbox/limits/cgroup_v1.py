"""Limits by version 1 cgroups: one group below our own in each of the memory, pids and cpu hierarchies."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...session.policy import Policy
from ..engine import Tier
from . import groups
from .interface import OWN_PROCESSES, Hierarchy

_PERIOD_MICROSECONDS = 100_000


@dataclass(frozen=True)
class CgroupV1:
    """One sandbox's groups by controller."""

    folders: Mapping[str, Path]
    rlimits: Sequence[tuple[int, int]] = ()

    @property
    def tiers(self) -> Mapping[str, Tier]:
        return {"memory": "enforced", "processes": "enforced", "cpu": "enforced" if "cpu" in self.folders else "none"}

    def join_fds(self) -> list[int]:
        return groups.join_fds(self.folders.values())

    def confine(self, command: int) -> None:
        """It is in its groups since before it was bwrap."""

    def out_of_memory_kills(self) -> int:
        return groups.entry(self.folders["memory"] / "memory.oom_control", "oom_kill")

    def stats(self, init: int) -> dict[str, int]:
        memory = self.folders["memory"]
        return groups.counts(
            groups.number(memory / "memory.usage_in_bytes"),
            groups.entry(memory / "memory.stat", "total_inactive_file"),
            groups.number(memory / "memory.max_usage_in_bytes"),
            groups.number(self.folders["pids"] / "pids.current"),
            self.out_of_memory_kills(),
            OWN_PROCESSES,
        )

    def freeze(self, *, frozen: bool) -> bool:
        return False

    async def exceeded(self, init: int) -> None:
        await asyncio.Event().wait()

    async def remove(self) -> None:
        await groups.remove(self.folders.values())


def parents(found: Mapping[str, Hierarchy]) -> dict[str, Path] | None:
    """Where groups can be made, by controller; None when memory or processes cannot be limited this way."""
    places = {name: found[name].own for name in ("memory", "pids", "cpu") if name in found}
    usable = {name: place for name, place in places.items() if os.access(place, os.W_OK)}
    return usable if {"memory", "pids"} <= usable.keys() else None


def create(places: Mapping[str, Path], policy: Policy) -> CgroupV1:
    """Raises OSError when the kernel refuses; nothing is left then."""
    groups.sweep(places.values())
    folders = dict(zip(places, groups.make(places.values()), strict=True))
    try:
        _set(folders, policy)
    except OSError:
        for folder in folders.values():
            folder.rmdir()
        raise
    return CgroupV1(folders)


def _set(folders: Mapping[str, Path], policy: Policy) -> None:
    memory = folders["memory"]
    groups.write(memory / "memory.limit_in_bytes", policy.memory)
    # Without swap accounting the second best is not to swap at all.
    with contextlib.suppress(OSError):
        groups.write(memory / "memory.swappiness", 0)
    with contextlib.suppress(OSError):
        groups.write(memory / "memory.memsw.limit_in_bytes", policy.memory)
    groups.write(folders["pids"] / "pids.max", policy.processes + OWN_PROCESSES)
    if "cpu" in folders:
        groups.write(folders["cpu"] / "cpu.cfs_period_us", _PERIOD_MICROSECONDS)
        groups.write(folders["cpu"] / "cpu.cfs_quota_us", max(1000, round(policy.cpus * _PERIOD_MICROSECONDS)))
