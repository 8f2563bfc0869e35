"""Ready sandboxes: claimed by a rename, each at most once, and only by a session that they fit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import pytest_asyncio

from kernel_gateway.config import load_settings
from kernel_gateway.errors import BadRequest
from kernel_gateway.image.image import Image
from kernel_gateway.session.create import session_values
from kernel_gateway.session.folder import SessionFolder, SessionStore
from kernel_gateway.session.lifetime import stop_session
from kernel_gateway.session.pool import Pool
from kernel_gateway.supervisor.client import connect
from kernel_gateway.supervisor.runs import RunRequest


@pytest.fixture
def values(data: Path, image: Image) -> dict[str, Any]:
    return session_values(load_settings(), image=image, engine="bubblewrap", owner="test")


@pytest_asyncio.fixture
async def pool(data: Path) -> AsyncIterator[Pool]:
    pool = Pool(data)
    yield pool
    for path in [*pool.root.glob("*"), *(data / "sessions").glob("*")]:
        await stop_session(SessionFolder(path))


async def ready(pool: Pool, values: dict[str, Any]) -> None:
    await pool.fill(values, 1)
    (entry,) = pool.root.glob("*")
    async with connect(SessionFolder(entry), start=False) as client:
        await client.hello(kernel=True)
        while (await client.hello())["state"] != "idle":
            await asyncio.sleep(0.02)


async def test_a_ready_sandbox_becomes_the_session_and_its_kernel_lives(
    pool: Pool, values: dict[str, Any], data: Path
) -> None:
    await ready(pool, values)
    folder = await pool.claim(values, "mine")
    assert folder is not None
    assert folder.path == data / "sessions" / "mine"
    async with connect(folder, start=False) as client:
        hello = await client.hello()
        assert (hello["session"], hello["generation"]) == ("mine", 1)
        result = await client.run(RunRequest("r", "c", "open('here.txt', 'w').write('x'); 1 + 1"))
        await client.notebook()
    assert result.outputs[0]["data"]["text/plain"] == "2"
    assert (folder.workspace / "here.txt").read_text() == "x"
    notebook = nbformat.read(folder.notebook, 4)
    assert notebook.metadata.kernel_gateway.session == "mine"


async def test_a_claimed_session_survives_a_restart_of_its_kernel(pool: Pool, values: dict[str, Any]) -> None:
    await ready(pool, values)
    folder = await pool.claim(values)
    assert folder is not None
    async with connect(folder) as client:
        await client.run(RunRequest("a", "a", "import os; os._exit(1)"))
        result = await client.run(RunRequest("b", "b", "print(os.getcwd()) if 'os' in globals() else print('fresh')"))
    assert result.stdout == "fresh\n"


async def test_two_front_ends_never_claim_the_same_sandbox(pool: Pool, values: dict[str, Any]) -> None:
    await ready(pool, values)
    claimed = await asyncio.gather(*(pool.claim(values) for _ in range(5)))
    assert len([c for c in claimed if c is not None]) == 1


async def test_a_sandbox_with_other_limits_is_not_claimed(pool: Pool, values: dict[str, Any]) -> None:
    await ready(pool, values)
    other = {**values, "policy": {**values["policy"], "memory": 10**9}}
    assert await pool.claim(other) is None


async def test_a_taken_name_leaves_the_sandbox_ready(pool: Pool, values: dict[str, Any], data: Path) -> None:
    await ready(pool, values)
    SessionStore(data).new({}, "taken")
    with pytest.raises(BadRequest):
        await pool.claim(values, "taken")
    assert await pool.claim(values, "free") is not None


async def test_filling_removes_a_dead_entry(pool: Pool, values: dict[str, Any]) -> None:
    await ready(pool, values)
    (entry,) = pool.root.glob("*")
    await stop_session(SessionFolder(entry))
    await pool.fill(values, 1)
    (again,) = pool.root.glob("*")
    assert again != entry


async def test_emptying_ends_what_waits(pool: Pool, values: dict[str, Any]) -> None:
    await ready(pool, values)
    await pool.empty()
    assert not list(pool.root.glob("*"))
