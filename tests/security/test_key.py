"""The model's key during a real turn of ``ask``: in the front end alone, neither in the sandbox nor in any process that holds it up."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kernel_gateway.scripted_model import ScriptedModel, text, tool_use
from kernel_gateway.session.folder import SessionFolder, SessionStore
from kernel_gateway.session.lifetime import delete_session
from kernel_gateway.supervisor.client import connect

from .arena import Arena
from .scenarios.host import search_for


def holds(path: Path, needle: bytes) -> bool:
    try:
        return needle in path.read_bytes()
    except OSError:
        return False


def memory_holds(pid: int, needle: bytes) -> bool:
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            if end >= 1 << 63:
                continue
            memory.seek(start)
            try:
                if needle in memory.read(end - start):
                    return True
            except OSError:
                continue
    return False


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(p) for p in task.read_text().split()]
    return found


async def look(folder: SessionFolder, key: str) -> list[str]:
    """Where the key is, in the supervisor's processes, the sandbox's among them, and in the session's files."""
    needle, found = key.encode(), list[str]()
    async with connect(folder, start=False) as client:
        supervisor = int((await client.hello())["pid"])
    for pid in family(supervisor):
        found += [f"{pid} {name}" for name in ("environ", "cmdline") if holds(Path(f"/proc/{pid}/{name}"), needle)]
        try:
            found += [f"{pid} memory"] if memory_holds(pid, needle) else []
        except OSError:
            # Another user's, or gone; root sees all.
            assert os.getuid() != 0 or not Path(f"/proc/{pid}").exists()
    return found + [str(p) for p in folder.path.rglob("*") if p.is_file() and holds(p, needle)]


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY"])
async def test_the_key_is_nowhere_but_in_the_front_end(arena: Arena, variable: str) -> None:
    key = f"canary-{secrets.token_hex(16)}"
    code = search_for(key).replace("result =", "print('FOUND',") + ")\nimport time; time.sleep(3)"
    turns = [[tool_use("toolu_1", "python", code=code)], [text("Done.")]]
    data, seen = arena.data / "key", list[list[str]]()
    async with ScriptedModel(turns) as model:
        environment = {
            **os.environ, variable: key, "ANTHROPIC_BASE_URL": model.base_url, "CELL_GATEWAY_DATA": str(data),
            "CELL_GATEWAY_POOL_SIZE": "0", "CELL_GATEWAY_ENGINE": arena.engine, "XDG_CONFIG_HOME": str(data / "config"),
        }  # fmt: skip
        command = [sys.executable, "-m", "kernel_gateway", "ask", "Search.", "--model", "scripted"]
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        ended = asyncio.create_task(process.communicate())
        while not ended.done():
            for folder in SessionStore(data):
                if "FOUND" in (folder.journal.read_text() if folder.journal.exists() else ""):
                    seen.append(await look(folder, key))
            await asyncio.sleep(0.2)
        out, err = await ended
    assert threading.active_count() >= 1
    (folder,) = SessionStore(data)
    try:
        assert process.returncode == 0, err
        assert key.encode() not in out + err
        assert seen and all(found == [] for found in seen)
        journal = folder.journal.read_text()
        assert "FOUND []" in journal
    finally:
        await delete_session(folder)
