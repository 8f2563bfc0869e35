"""The memory of a session's processes, from /proc."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """In MB (1024² bytes): what only this process has, and its proportional share of all it maps."""

    private: float
    pss: float

    def __add__(self, other: Memory) -> Memory:
        return Memory(self.private + other.private, self.pss + other.pss)


def memory(pid: int) -> Memory:
    """Raises PermissionError for a process of somebody else."""
    sizes = dict.fromkeys(("Pss", "Private_Clean", "Private_Dirty"), 0.0)
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in sizes:
            sizes[name] = int(rest.split()[0]) / 1024
    return Memory(sizes["Private_Clean"] + sizes["Private_Dirty"], sizes["Pss"])


def descendants(pid: int) -> dict[int, str]:
    """Command lines by pid, words separated by blanks."""
    found: dict[int, str] = {}
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, listing.read_text().split()):
            found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
            found |= descendants(child)
    return found
