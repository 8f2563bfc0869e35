"""Folders of a cgroup file system: made, read, and removed also when their maker was killed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from .interface import PREFIX

# A group is joined milliseconds after it is made; an older empty one was left by somebody who was killed.
_STRAY_SECONDS = 60.0
_ATTEMPTS = 200


def make(parents: Iterable[Path]) -> list[Path]:
    """One new group of the same random name below each parent, or none at all. Raises OSError."""
    name = PREFIX + secrets.token_hex(8)
    made: list[Path] = []
    try:
        for parent in parents:
            (parent / name).mkdir()
            made.append(parent / name)
    except OSError:
        for group in made:
            group.rmdir()
        raise
    return made


async def remove(groups: Iterable[Path]) -> None:
    """The kernel lets go of a group shortly after its last process ended and has no event for that moment."""
    for group in groups:
        for _ in range(_ATTEMPTS):
            try:
                group.rmdir()
            except FileNotFoundError:
                break
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                await asyncio.sleep(0.01)
            else:
                break


def sweep(parents: Iterable[Path]) -> None:
    """Remove the empty groups that were left behind; a group with a process in it cannot be removed."""
    for parent in parents:
        for group in parent.glob(PREFIX + "*"):
            with contextlib.suppress(OSError):
                if time.time() - group.stat().st_ctime > _STRAY_SECONDS:
                    group.rmdir()


def join_fds(groups: Iterable[Path]) -> list[int]:
    return [os.open(group / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) for group in groups]


def write(path: Path, value: object) -> None:
    """Unbuffered: the kernel answers a wrong value at the write."""
    with path.open("wb", buffering=0) as file:
        file.write(str(value).encode())


def number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def entry(path: Path, name: str) -> int:
    """The number behind ``name`` in a file of "name number" lines; 0 when it is not there."""
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name and value.isdigit():
                return int(value)
    return 0


def counts(
    memory: int | None, cache: int, peak: int | None, processes: int | None, kills: int, own: int
) -> dict[str, int]:
    """The known ones of a sandbox's numbers; page cache that the kernel would give up is not counted as used."""
    known = {
        "memory_bytes": None if memory is None else max(0, memory - cache),
        "memory_peak_bytes": peak,
        "processes": None if processes is None else max(0, processes - own),
    }
    return {"out_of_memory_kills": kills, **{name: value for name, value in known.items() if value is not None}}
