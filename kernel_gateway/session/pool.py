"""Ready sandboxes: whole sessions without a name, whose kernel waits. One is claimed by renaming its folder (fast starts).

``DATA/pool/<random>/`` is a session folder whose ``session.json`` says ``generic``. Nothing inside its sandbox knows a session, a key or
a policy; the mounts follow the rename, the sockets lie in a runtime folder that is not renamed.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import fcntl
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import BadRequest, GatewayError, NotFound, SupervisorUnavailable
from ..sandbox.users import transfer_uid
from ..supervisor.client import connect, supervisor_environment
from .create import check_name, create_folder, remove_session
from .folder import SessionFolder, SessionStore, readable_id
from .lifetime import stop_session

_RENAME_NOREPLACE = 1
_AT_FDCWD = -100
# What must agree before a ready sandbox can serve a new session.
_FIXED = ("version", "policy", "engine", "image", "mounts")
# What belongs to the sandbox rather than to the session.
_KEPT = ("uid", "isolation")


class Pool:
    """The ready sandboxes of one data folder."""

    def __init__(self, data: Path) -> None:
        self.root = data / "pool"
        self._store = SessionStore(data)

    async def claim(self, values: dict[str, Any], name: str | None = None) -> SessionFolder | None:
        """A session made of a ready sandbox that fits ``values`` (of ``session.json``), or None when there is none.

        ``session.json`` is written first, then the folder is renamed and both parents are synced: a crash between leaves either a
        ready sandbox or a session. Raises BadRequest when the name is taken.
        """
        check_name(name)
        for folder in self._entries():
            with _held(folder) as held:
                if held and await _is_ready(folder, values):
                    return self._take(folder, values, name)
        return None

    async def fill(self, values: dict[str, Any], size: int) -> None:
        """Remove what is dead, and start sandboxes for ``values`` until ``size`` of them are there."""
        fitting = 0
        for folder in self._entries():
            with _held(folder) as held:
                if not held:
                    continue
                if await _answers(folder):
                    fitting += _fits(folder, values)
                else:
                    remove_session(folder)
        for _ in range(size - fitting):
            await self._start(values)

    async def empty(self) -> None:
        """End and remove what waits."""
        for folder in self._entries():
            with _held(folder) as held:
                if held:
                    await stop_session(folder)
                    remove_session(folder)

    def _entries(self) -> Iterator[SessionFolder]:
        for path in sorted(self.root.glob("*")):
            if (path / ".session" / "session.json").is_file():
                yield SessionFolder(path)

    async def _start(self, values: dict[str, Any]) -> None:
        self.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        folder = SessionFolder(self.root / secrets.token_hex(6))
        create_folder(folder, {**values, "generic": True, "model": None})
        async with connect(folder):
            return

    def _take(self, folder: SessionFolder, values: dict[str, Any], name: str | None) -> SessionFolder:
        found = folder.read()
        uid, kept = found.get("uid"), {k: found[k] for k in _KEPT if k in found}
        self._store.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        while True:
            target = SessionFolder(self._store.root / (name or readable_id()))
            folder.write({**values, **kept, "session": target.id})
            try:
                _rename(folder.path, target.path)
            except FileExistsError:
                if name:
                    folder.write({**values, **kept, "generic": True, "session": folder.id})
                    raise BadRequest(f"A session {name!r} exists already.") from None
                continue
            if uid is not None:
                transfer_uid(uid, target.path)
            return target


def fill_in_background(data: Path, values: dict[str, Any], size: int) -> None:
    """Start a process that makes the pool full again for sessions like ``values``, and do not wait for it."""
    generic = {k: v for k, v in values.items() if k not in ("session", "uid", "generic")}
    command = [
        sys.executable,
        "-m",
        "kernel_gateway.session.pool",
        str(data),
        str(size),
        json.dumps({**generic, "uid": None}),
    ]
    environment = supervisor_environment()
    subprocess.Popen(
        command,
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _fits(folder: SessionFolder, values: dict[str, Any]) -> bool:
    try:
        found = folder.read()
    except NotFound:
        return False
    return bool(found.get("generic")) and all(_fixed(found, k) == _fixed(values, k) for k in _FIXED)


def _fixed(values: dict[str, Any], key: str) -> Any:
    """A value that a sandbox was started with. The network's rules lie outside of it and hold from the claim on."""
    value = values.get(key)
    if key == "policy" and isinstance(value, dict):
        return {k: v for k, v in value.items() if k not in ("egress", "ask_timeout")}
    return value


async def _is_ready(folder: SessionFolder, values: dict[str, Any]) -> bool:
    if not _fits(folder, values):
        return False
    try:
        async with connect(folder, start=False) as client:
            hello = await client.hello()
    except GatewayError:
        return False
    return hello["state"] == "idle" and hello["generation"] == 1


async def _answers(folder: SessionFolder) -> bool:
    try:
        async with connect(folder, start=False):
            return True
    except SupervisorUnavailable:
        return False
    except NotFound:
        return True


@contextmanager
def _held(folder: SessionFolder) -> Generator[bool]:
    """Whether we are the only one that looks at this entry; never waits."""
    try:
        fd = os.open(folder.internals / "claim", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield folder.path.exists()
    finally:
        os.close(fd)


def _rename(source: Path, target: Path) -> None:
    """renameat2 with RENAME_NOREPLACE, durable. Raises FileExistsError."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(source), os.fsencode(target)
    if libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE) != 0:
        code = ctypes.get_errno()
        raise FileExistsError(target) if code == errno.EEXIST else OSError(code, os.strerror(code), str(target))
    for folder in (source.parent, target.parent):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


if __name__ == "__main__":
    asyncio.run(Pool(Path(sys.argv[1])).fill(json.loads(sys.argv[3]), int(sys.argv[2])))
