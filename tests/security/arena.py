"""Sessions to attack: real ones, of one engine, whose supervisor lives as long as the arena."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernel_gateway.config import load_settings
from kernel_gateway.image.store import Image
from kernel_gateway.session.create import create_session, session_values
from kernel_gateway.session.folder import SessionFolder
from kernel_gateway.session.lifetime import delete_session
from kernel_gateway.supervisor.client import connect
from tests.conftest import LiveSession

MB = 1024**2
# The outcome of an attempt that ended its sandbox, and was told so.
DIED = "the sandbox ended"
# Small enough that a memory bomb ends soon. No network is the ground on which the attempts stand; tests/egress has the rest.
SETTINGS = {"limits.memory": "1 GB", "limits.disk": "200 MB", "limits.processes": 64, "limits.egress": "none"}

# Every attempt finds these; they leave the attempt's own names alone.
PRELUDE = """
import ctypes, errno, fcntl, glob, json, os, platform, re, resource, signal, socket, subprocess, sys, termios, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    libc.syscall.restype = ctypes.c_long
    found = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, args))
    return found if found >= 0 else errno.errorcode[ctypes.get_errno()]
def refused(action):
    "The name of the error that an action raises, or its result's text."
    try:
        return str(action())
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except Exception as error:
        return type(error).__name__
def forge(kind, content, parent=None, channel='iopub_socket', **header):
    from ipykernel.kernelapp import IPKernelApp
    kernel = IPKernelApp.instance().kernel
    message = kernel.session.msg(kind, content, parent=kernel.get_parent() if parent is None else parent)
    message['header'].update(header)
    kernel.session.send(getattr(kernel, channel), message)
"""


@dataclass
class Arena:
    """One engine's sessions. Those of `shared`, one for each kind of settings, are for attempts that leave their session as it was."""

    engine: str
    data: Path
    image: Image
    _shared: dict[str, SessionFolder] = field(default_factory=dict)
    _number: int = 0

    def make(self, **settings: Any) -> SessionFolder:
        wanted = load_settings({**SETTINGS, **settings})
        values = session_values(wanted, image=self.image, engine=self.engine, owner="test")
        return create_session(self.data, values)

    @asynccontextmanager
    async def shared(self, **settings: Any) -> AsyncGenerator[LiveSession]:
        key = json.dumps({**SETTINGS, **settings}, sort_keys=True)
        if key not in self._shared:
            self._shared[key] = self.make(**settings)
        async with connect(self._shared[key]) as client:
            self._number += 1
            session = NumberedSession(self._shared[key], client, f"attempt-{self._number}")
            await session.python(PRELUDE)
            yield session

    @asynccontextmanager
    async def own(self, **settings: Any) -> AsyncGenerator[LiveSession]:
        """A session of the test's own, deleted at its end."""
        folder = self.make(**settings)
        try:
            async with connect(folder) as client:
                session = LiveSession(folder, client)
                await session.python(PRELUDE)
                yield session
        finally:
            await delete_session(folder)

    async def close(self) -> None:
        for folder in self._shared.values():
            await delete_session(folder)


class NumberedSession(LiveSession):
    """Its runs have names of their own among all that the shared session has seen."""

    def __init__(self, folder: SessionFolder, client: Any, prefix: str) -> None:
        super().__init__(folder, client)
        self._prefix = prefix

    def request(self, source: str, **fields: Any) -> Any:
        key = f"{self._prefix}-{self._number + 1}"
        return super().request(source, **{"run": key, "cell": key, **fields})


async def outcome(session: LiveSession, code: str) -> str:
    """What ``code`` leaves in ``result``, as text; an OSError that it raises as the name of its errno, and `DIED`."""
    body = "".join(f"    {line}\n" for line in code.strip().splitlines())
    cell = (
        f"result = None\ntry:\n{body}except OSError as error:\n    result = errno.errorcode.get(error.errno, str(error))\n"
        "print('RESULT', json.dumps(result, default=str))"
    )
    found = await session.python(cell, timeout=60)
    if found.exit == "died":
        return DIED
    _, marker, text = found.stdout.rpartition("RESULT ")
    assert marker, (found.exit, found.stderr, found.outputs)
    return str(json.loads(text))


def status(pid: int, name: str) -> int:
    """A number of /proc/PID/status, in its own unit."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:"))
