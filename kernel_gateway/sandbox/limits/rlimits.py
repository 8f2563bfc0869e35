"""Limits where no cgroup can be made: resource limits of each process, and a watch over the sum of their memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...session.policy import GB, Policy
from ..engine import Tier
from .interface import OWN_PROCESSES

TIERS: Mapping[str, Tier] = {"memory": "watched", "processes": "enforced", "cpu": "none"}
_WATCH_SECONDS = 1.0
# Above half of the limit it is looked at more often; looking takes a twentieth of the time at most.
_CLOSE_WATCH_SECONDS = 0.1
_LOOKING_SHARE = 20
# What a program may reserve beyond its memory without using it: 72 MB a thread, 10 GB for Node's WebAssembly (and so for its fetch).
_RESERVED = 32 * GB
# bwrap's process 1 inside.
_INIT = 1
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Rlimits:
    """No process may have more than ``memory`` bytes of its own (RLIMIT_DATA: private and writable; what is only reserved does not
    count); together, shared memory included, they are watched and killed when they use more.

    Processes are counted by uid, and root gives each session one. An ordinary user's are counted by user namespace since Linux 5.14;
    an older kernel counts all that the user runs.
    """

    memory: int
    rlimits: Sequence[tuple[int, int]]
    # Those that the first process gets once it is in its own user namespace; the kernel holds against a namespace what its maker had.
    inside: Sequence[tuple[int, int]] = ()
    kills: int = 0

    @property
    def tiers(self) -> Mapping[str, Tier]:
        return TIERS

    def join_fds(self) -> list[int]:
        return []

    def confine(self, command: int) -> None:
        for kind, wanted in self.inside:
            _, hard = resource.prlimit(command, kind)
            value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.prlimit(command, kind, (value, value))

    def out_of_memory_kills(self) -> int:
        return self.kills

    def stats(self, init: int) -> dict[str, int]:
        used = [_resident(pid) for pid in descendants(init)]
        return {"memory_bytes": sum(used), "processes": max(0, len(used) - 1), "out_of_memory_kills": self.kills}

    def freeze(self, *, frozen: bool) -> bool:
        return False

    async def exceeded(self, init: int) -> None:
        """Pages that processes share are counted once before a sandbox is called too large."""
        pause = _WATCH_SECONDS
        while True:
            await asyncio.sleep(pause)
            began, pids = time.monotonic(), list(descendants(init))
            used = sum(map(_resident, pids))
            if used > self.memory and sum(map(_proportional, pids)) > self.memory:
                self.kills += 1
                return
            pause = _pause(time.monotonic() - began, is_close=used > self.memory // 2)

    async def remove(self) -> None:
        """They go with their processes."""


def create(policy: Policy, uid: int) -> Rlimits:
    """For a sandbox whose processes have ``uid`` on the machine."""
    memory = [(resource.RLIMIT_DATA, policy.memory), (resource.RLIMIT_AS, policy.memory + _RESERVED)]
    if os.geteuid() != 0 and _counts_by_namespace(os.uname().release):
        return Rlimits(policy.memory, memory, [(resource.RLIMIT_NPROC, policy.processes + _INIT)])
    processes = _threads_of(uid) + policy.processes + OWN_PROCESSES
    return Rlimits(policy.memory, [*memory, (resource.RLIMIT_NPROC, processes)])


def _counts_by_namespace(release: str) -> bool:
    """Whether RLIMIT_NPROC is about a user namespace, by the kernel's version: there is nothing else to tell it by."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is not None and (int(found[1]), int(found[2])) >= (5, 14)


def _pause(took: float, *, is_close: bool) -> float:
    return max(_CLOSE_WATCH_SECONDS if is_close else _WATCH_SECONDS, _LOOKING_SHARE * took)


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
