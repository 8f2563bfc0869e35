"""Stopping all processes of a sandbox for a while, by SIGSTOP and SIGCONT, where no version 2 cgroup can.

The freezer of version 1 cgroups would do it for root as well, but what it froze cannot even be killed: a sandbox whose starter is
killed meanwhile would stay for ever.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .limits.rlimits import descendants

# Processes may be born while others are stopped; each round finds the children of the last.
_MOST_ROUNDS = 100
_TICKS = os.sysconf("SC_CLK_TCK")


class Stopped:
    """The processes below a sandbox's process 1, all stopped; those that were stopped before are not ours to continue."""

    def __init__(self, init: int) -> None:
        self._fds: list[int] = []
        self._namespace = Path(f"/proc/{init}/ns/pid").stat().st_ino
        for _ in range(_MOST_ROUNDS):
            if not sum(self._stop(pid) for pid in _awake(init)):
                break

    def continue_(self) -> None:
        """Let them go on."""
        for fd in self._fds:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGCONT)
            os.close(fd)
        self._fds = []

    def _stop(self, pid: int) -> bool:
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            return False
        try:
            # Only now the number cannot become somebody else's.
            if Path(f"/proc/{pid}/ns/pid").stat().st_ino == self._namespace:
                signal.pidfd_send_signal(fd, signal.SIGSTOP)
                self._fds.append(fd)
                return True
        except OSError:
            pass
        os.close(fd)
        return False


def _awake(init: int) -> Iterator[int]:
    for pid in descendants(init):
        if pid != init and _fields(pid)[:1] not in ([], ["T"], ["t"], ["Z"], ["X"]):
            yield pid


def cpu_seconds(init: int) -> float:
    """What the processes below and including process 1 have used so far, and those that ended and were waited for."""
    ticks = [sum(map(int, _fields(pid)[11:15])) for pid in descendants(init)]
    return sum(ticks) / _TICKS


def _fields(pid: int) -> list[str]:
    """Of ``/proc/<pid>/stat`` what follows the name: state, parent and so on; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
