"""What a way to limit a sandbox offers, and how cgroups are found on this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..engine import Tier

PREFIX = "cell-gateway-"
# bwrap itself: the process outside and the reaper inside; they are no processes of the session.
OWN_PROCESSES = 2


class Limits(Protocol):
    """The limits of one sandbox."""

    @property
    def tiers(self) -> Mapping[str, Tier]:
        """For ``memory``, ``processes`` and ``cpu``: what holds them here."""
        ...

    @property
    def rlimits(self) -> Sequence[tuple[int, int]]:
        """(resource, value) pairs that the first process sets for itself."""
        ...

    def join_fds(self) -> list[int]:
        """Descriptors into which the first process writes ``0`` to enter; the caller closes them."""
        ...

    def confine(self, command: int) -> None:
        """Set what only counts inside on the first process there, before it runs anything of the session. Raises OSError."""
        ...

    def out_of_memory_kills(self) -> int:
        """Processes of this sandbox that were killed for memory so far."""
        ...

    def stats(self, init: int) -> dict[str, int]:
        """Of the sandbox whose process 1 is ``init``, where known: ``memory_bytes``, ``memory_peak_bytes``, ``processes``,
        ``out_of_memory_kills``.
        """
        ...

    def freeze(self, *, frozen: bool) -> bool:
        """Stop all of the sandbox's processes, or let them go on; False where there is no such means. What is frozen can be killed."""
        ...

    async def exceeded(self, init: int) -> None:
        """Returns once the sandbox must be killed for memory; where the kernel does that by itself, never returns."""
        ...

    async def remove(self) -> None:
        """Take the limits away; call it when nothing runs in the sandbox any more."""
        ...


@dataclass(frozen=True)
class Hierarchy:
    """A mounted cgroup file system: where it is, and the place of this process in it."""

    mount_point: Path
    own: Path


def hierarchies(mountinfo: str, membership: str) -> dict[str, Hierarchy]:
    """By controller name for version 1, and ``""`` for version 2, from ``/proc/self/mountinfo`` and ``/proc/self/cgroup``.

    In a container the membership is told as the host sees it, while the mount begins at the container's own group.
    """
    own = {name: path for line in membership.splitlines() for name, path in _members(line)}
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        fields, _, tail = line.partition(" - ")
        kind, _, options = tail.partition(" ")
        if kind not in ("cgroup", "cgroup2"):
            continue
        root, mount_point = (_unescaped(field) for field in fields.split(" ")[3:5])
        names = [""] if kind == "cgroup2" else options.split(" ")[-1].split(",")
        for name in names:
            if name in own:
                found.setdefault(name, Hierarchy(Path(mount_point), _below(mount_point, root, own[name])))
    return found


def _members(line: str) -> list[tuple[str, str]]:
    _, names, path = (*line.split(":", 2), "", "")[:3]
    return [(name, path) for name in names.split(",")]


def _below(mount_point: str, root: str, path: str) -> Path:
    inside = path[len(root) :] if root != "/" and path.startswith(root) else path
    place = Path(mount_point + "/" + inside.strip("/"))
    return place if place.is_dir() and ".." not in place.parts else Path(mount_point)


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def found_here() -> dict[str, Hierarchy]:
    """The hierarchies of this process; empty where there is no ``/proc``."""
    try:
        return hierarchies(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
    except OSError:
        return {}
