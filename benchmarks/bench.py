"""What the rows need: sessions of ours in a data folder of their own, and drivers of the peers; each is made when first asked for."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from kernel_gateway.config import load_settings
from kernel_gateway.errors import SupervisorUnavailable
from kernel_gateway.image.image import Image
from kernel_gateway.image.store import ImageStore
from kernel_gateway.journal import Journal, now
from kernel_gateway.session.create import create_session, remove_session, session_values
from kernel_gateway.session.folder import SessionFolder, SessionStore
from kernel_gateway.session.pool import Pool
from kernel_gateway.supervisor.client import SessionClient, connect
from kernel_gateway.supervisor.runs import RunRequest

from . import environments
from .peer import Peer, running

Say = Callable[[str], None]


class Bench:
    """Open it with `opened`."""

    def __init__(self, image: Image, folder: Path, stack: AsyncExitStack, say: Say) -> None:
        self.image, self.folder = image, folder
        self.data = folder / "data"
        self.data.mkdir(mode=0o711)
        self.pool = Pool(self.data)
        self.versions: dict[str, str] = {}
        self._stack, self._say = stack, say
        self._peers: dict[str, Peer] = {}

    @property
    def values(self) -> dict[str, Any]:
        return session_values(load_settings({}), image=self.image, engine="bubblewrap", owner="benchmark")

    def new_folder(self) -> SessionFolder:
        return create_session(self.data, self.values)

    async def session(self, folder: SessionFolder | None = None) -> SessionClient:
        """A session that lives as long as the benchmark; its kernel is ready."""
        client = await self._stack.enter_async_context(connect(folder or self.new_folder()))
        await client.run(cell("1+1"))
        await client.notebook()
        return client

    async def peer(self, driver: str, environment: str) -> Peer:
        """The driver of that name, shared by all rows."""
        if driver not in self._peers:
            python = environments.ensure(environment, self.image, self._say)
            self.versions |= environments.versions(environment, python)
            self._peers[driver] = await self._stack.enter_async_context(running(driver, python, self.folder))
        return self._peers[driver]


def cell(source: str, tool: str = "python") -> RunRequest:
    key = uuid.uuid4().hex
    return RunRequest(run=key, cell=key, source=source, author="person", tool=tool)


def write_history(folder: SessionFolder, cells: int, text: str) -> None:
    """The journal of a session in which so many cells ran, each of which printed ``text``."""
    journal = Journal(folder.journal)
    try:
        values = folder.read()
        journal.append("session", format=1, session=folder.id, created=now(), image=values["image"])
        journal.append("kernel", generation=1, engine="bubblewrap", isolation={}, cause="start")
        for n in range(cells):
            run = f"past-{n}"
            journal.append(
                "start", run=run, cell=run, source="pass", author="model", tool="python", generation=1, timeout=None
            )
            journal.append("output", run=run, outputs=[{"output_type": "stream", "name": "stdout", "text": text}])
            journal.append(
                "end", run=run, exit="ok", execution_count=n + 1, duration=0.0, kept=len(text), total=len(text)
            )
        journal.sync()
    finally:
        journal.close()


async def remove(folder: SessionFolder) -> None:
    """Stop it and delete all that it has."""
    try:
        async with connect(folder, start=False) as client:
            await client.stop()
    except SupervisorUnavailable:
        pass
    remove_session(folder)


@asynccontextmanager
async def opened(say: Say) -> AsyncGenerator[Bench]:
    """Whatever was started is stopped at the end, and the data are deleted."""
    image = ImageStore().ensure(progress=lambda step, fraction: say(f"image: {step} ({fraction:.0%})"))
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=environments.cache_folder()))
    environments.write_kernelspec(folder, image)
    bench = None
    try:
        async with AsyncExitStack() as stack:
            bench = Bench(image, folder, stack, say)
            yield bench
    finally:
        if bench is not None:
            pooled = [SessionFolder(path.parent.parent) for path in bench.pool.root.glob("*/.session/session.json")]
            for session in [*SessionStore(bench.data), *pooled]:
                await remove(session)
        shutil.rmtree(folder)
