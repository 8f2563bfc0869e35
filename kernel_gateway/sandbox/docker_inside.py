"""Process 1 of a container, run by the image's Python (``-I -S -c``): it starts the command, reaps, and ends with it or with its starter.

Its stdin is the starter's hand: frames of one letter, a length (32 bits, big endian) and a payload. ``i``: bytes of the command's
stdin, ``e``: that was all, ``s``: a signal number for the command's own process, ``a``: one for all processes but this. At the end of
that stream the starter is gone, and everything here ends. What runs beside it has the same uid, so this process lets nobody look into
it or write to its memory.

Standard library only. Exit status: the command's, or 128 and the number of the signal that ended it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import struct
import sys
import threading
from typing import Any, BinaryIO

_PR_SET_DUMPABLE = 4
_ABANDONED = 137
_UNABLE = 127
_HEADER = struct.Struct(">cI")


class Command:
    """The one process that the starter asked for; ``ended`` is told under the lock, so that a signal never hits a later process."""

    def __init__(self, pid: int) -> None:
        self.pid, self.ended = pid, False
        self.lock = threading.Lock()

    def signal(self, number: int) -> None:
        with self.lock:
            if not self.ended:
                os.kill(self.pid, number)


def main() -> None:
    # An address of this process must tell nobody anything, and its memory be nobody's to change.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    # Python's own handler would end process 1, which the kernel otherwise protects from the signals of others here.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    hand = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115 - for as long as we live
    stdin = _collected(hand) if wanted["stdin"] else os.open(os.devnull, os.O_RDONLY)
    command = Command(_start(wanted["command"], wanted["environment"], stdin))
    os.close(stdin)
    threading.Thread(target=_obey, args=(hand, command), daemon=True).start()
    _reap(command)


def _start(words: list[str], environment: dict[str, str], stdin: int) -> int:
    # Python ignores some signals, which a started program would inherit.
    defaults = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    actions = [(os.POSIX_SPAWN_DUP2, stdin, 0)]
    try:
        return os.posix_spawnp(
            words[0], words, environment, file_actions=actions, setsid=True, setsigmask=(), setsigdef=defaults
        )
    except OSError as error:
        print(f"{words[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(_UNABLE)


def _reap(command: Command) -> None:
    """Until the command ends; orphans of all kinds become ours and are reaped too."""
    while True:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        assert found is not None
        with command.lock:
            _, status = os.waitpid(found.si_pid, 0)
            command.ended = found.si_pid == command.pid
        if command.ended:
            code = os.waitstatus_to_exitcode(status)
            os._exit(128 - code if code < 0 else code)


def _obey(hand: BinaryIO, command: Command) -> None:
    while True:
        kind, payload = _frame(hand)
        if kind == b"s":
            command.signal(int(payload))
        elif kind == b"a":
            # Never process 1 itself.
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, int(payload))


def _collected(hand: BinaryIO) -> int:
    """The command's whole stdin, as a file that can be read from its beginning."""
    data = os.memfd_create("stdin")
    while (frame := _frame(hand))[0] == b"i":
        os.write(data, frame[1])
    os.lseek(data, 0, os.SEEK_SET)
    return data


def _frame(hand: BinaryIO) -> tuple[bytes, bytes]:
    kind, length = _HEADER.unpack(_exactly(hand, _HEADER.size))
    return kind, _exactly(hand, length)


def _exactly(hand: BinaryIO, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        if not (more := hand.read(size - len(data))):
            os._exit(_ABANDONED)
        data += more
    return bytes(data)


if __name__ == "__main__":
    main()
