"""Fresh sessions to replay into: to be kept, or gone when the block ends, however it ends."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import NotFound
from ..session.create import create_folder, create_session, remove_session
from ..session.folder import SessionFolder
from ..session.lifetime import stop_session
from ..supervisor.client import SessionClient, connect


@dataclass(frozen=True)
class Fresh:
    """``values`` are what ``session.json`` will hold; temporary sessions lie in ``data/replays``, where no list shows them."""

    data: Path
    values: Mapping[str, Any]

    @property
    def mounts(self) -> list[str]:
        return [m["name"] for m in self.values.get("mounts", [])]

    @asynccontextmanager
    async def temporary(self) -> AsyncGenerator[SessionClient]:
        """A session that is stopped and deleted at the end. What killed ones left is removed first."""
        root = self.data / "replays"
        root.mkdir(parents=True, exist_ok=True, mode=0o711)
        await _sweep(root)
        folder = create_folder(SessionFolder(root / secrets.token_hex(6)), dict(self.values))
        with _owned(folder):
            try:
                async with connect(folder) as client:
                    yield client
            finally:
                await asyncio.shield(_remove(folder))

    @asynccontextmanager
    async def kept(self, name: str | None, origin: Mapping[str, Any]) -> AsyncGenerator[SessionClient]:
        """A session like any other, which names its origin."""
        folder = create_session(self.data, {**self.values, "origin": dict(origin)}, name)
        async with connect(folder) as client:
            yield client


async def _remove(folder: SessionFolder) -> None:
    await stop_session(folder)
    remove_session(folder)


async def _sweep(root: Path) -> None:
    for path in root.glob("*"):
        folder = SessionFolder(path)
        try:
            folder.read()
            with _owned(folder):
                await _remove(folder)
        except (NotFound, BlockingIOError, FileNotFoundError):
            # Somebody uses it, is just making it, or has just removed it.
            continue


@contextmanager
def _owned(folder: SessionFolder) -> Generator[None]:
    """Raises BlockingIOError when another process uses it."""
    fd = os.open(folder.internals / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)
