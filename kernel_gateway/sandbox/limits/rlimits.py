"""Limits where no cgroup can be made: resource limits of each process, and a watch over the sum of their memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...session.policy import Policy
from ..engine import Tier
from .interface import OWN_PROCESSES

TIERS: Mapping[str, Tier] = {"memory": "watched", "processes": "enforced", "cpu": "none"}
_WATCH_SECONDS = 1.0
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Rlimits:
    """No process may map more than ``memory`` bytes (RLIMIT_AS); together they are watched and killed when they use more.

    The process limit counts all processes of the uid, whoever started them.
    """

    memory: int
    rlimits: Sequence[tuple[int, int]]
    kills: int = 0

    @property
    def tiers(self) -> Mapping[str, Tier]:
        return TIERS

    def join_fds(self) -> list[int]:
        return []

    def out_of_memory_kills(self) -> int:
        return self.kills

    def stats(self, init: int) -> dict[str, int]:
        used = [_resident(pid) for pid in descendants(init)]
        return {"memory_bytes": sum(used), "processes": max(0, len(used) - 1), "out_of_memory_kills": self.kills}

    def freeze(self, *, frozen: bool) -> bool:
        return False

    async def exceeded(self, init: int) -> None:
        """Pages that processes share are counted once before a sandbox is called too large."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            pids = list(descendants(init))
            if sum(map(_resident, pids)) > self.memory and sum(map(_proportional, pids)) > self.memory:
                self.kills += 1
                return

    async def remove(self) -> None:
        """They go with their processes."""


def create(policy: Policy, uid: int) -> Rlimits:
    """For a sandbox whose processes have ``uid`` on the machine."""
    processes = _threads_of(uid) + policy.processes + OWN_PROCESSES
    return Rlimits(policy.memory, [(resource.RLIMIT_AS, policy.memory), (resource.RLIMIT_NPROC, processes)])


def descendants(pid: int) -> Iterator[int]:
    """``pid`` and all processes below it; orphans of a sandbox are children of its process 1."""
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        yield current
        for children in Path(f"/proc/{current}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                waiting += map(int, children.read_text().split())


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _threads_of(uid: int) -> int:
    """RLIMIT_NPROC counts threads."""
    total = 0
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and process.stat().st_uid == uid:
                total += len(list((process / "task").iterdir()))
    return total
