"""Real sessions for all tests: a real image, a real sandbox, a real supervisor. Only the model is ever scripted."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from kernel_gateway.config import load_settings
from kernel_gateway.image.store import Image, ImageStore
from kernel_gateway.session.create import create_session, session_values
from kernel_gateway.session.folder import SessionFolder
from kernel_gateway.supervisor.client import SessionClient, connect
from kernel_gateway.supervisor.runs import RunRequest, RunResult
from tests.docker.daemon import base, docker_socket  # noqa: F401 - fixtures
from tests.parallel import pytest_collection_modifyitems, pytest_xdist_make_scheduler  # noqa: F401 - hooks


@pytest.fixture(scope="session")
def image() -> Image:
    """The default image, built by ``make image`` or here."""
    return ImageStore().ensure()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of its own, also for the commands that a test starts."""
    folder = tmp_path / "data"
    monkeypatch.setenv("CELL_GATEWAY_DATA", str(folder))
    monkeypatch.setenv("CELL_GATEWAY_POOL_SIZE", "0")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return folder


class LiveSession:
    """A session as a test drives it: ``python``, ``bash`` and ``node`` run a cell and give its result."""

    def __init__(self, folder: SessionFolder, client: SessionClient) -> None:
        self.folder, self.client = folder, client
        self._number = 0

    def request(self, source: str, **fields: Any) -> RunRequest:
        self._number += 1
        key = fields.pop("run", f"run-{self._number}")
        return RunRequest(key, fields.pop("cell", f"cell-{self._number}"), source, **fields)

    async def python(self, source: str, **fields: Any) -> RunResult:
        return await self.client.run(self.request(source, **fields))

    async def bash(self, source: str, **fields: Any) -> RunResult:
        return await self.python(f"%%bash\n{source}", tool="bash", **fields)

    async def node(self, source: str, **fields: Any) -> RunResult:
        return await self.python(f"%%node\n{source}", tool="node", **fields)


NewSession = Callable[..., Awaitable[LiveSession]]


@pytest_asyncio.fixture
async def new_session(data: Path, image: Image) -> AsyncIterator[NewSession]:
    """Makes sessions that are stopped and deleted when the test ends."""
    async with AsyncExitStack() as stack:

        async def make(**options: Any) -> LiveSession:
            name, settings = options.pop("name", None), load_settings(options.pop("settings", None))
            options.setdefault("engine", "bubblewrap")
            values = session_values(settings, image=image, owner="test", **options)
            folder = create_session(data, values, name)
            client = await stack.enter_async_context(connect(folder))
            stack.push_async_callback(stop_session, folder)
            return LiveSession(folder, client)

        yield make


@pytest_asyncio.fixture
async def session(new_session: NewSession) -> LiveSession:
    return await new_session()


async def stop_session(folder: SessionFolder) -> None:
    from kernel_gateway.errors import SupervisorUnavailable

    try:
        async with connect(folder, start=False) as client:
            await client.stop()
    except SupervisorUnavailable:
        return


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


ROOT = os.getuid() == 0
