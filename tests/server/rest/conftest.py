"""A real server in a process of its own, on a data folder of its own, with a scripted model."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from kernel_gateway.image.store import Image
from kernel_gateway.scripted_model import Scripted, scripted_model_in_thread, text, tool_use
from kernel_gateway.session.folder import SessionStore
from tests.conftest import stop_session

TOKEN = "of-the-test"
REPLIES = [Scripted([text("I count."), tool_use("toolu_1", "python", code="print(6 * 7)")]), Scripted([text("42.")])]


@dataclass
class Server:
    port: int
    data: Path
    http: httpx.Client

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def new(self, name: str, **options: Any) -> str:
        """A session, and the address of its routes."""
        made = self.http.post("/api/gateway/sessions", json={"name": name, "engine": "bubblewrap", **options})
        assert made.status_code == 201, made.text
        return f"/api/gateway/sessions/{name}"

    def run(self, session: str, source: str, **options: Any) -> dict[str, Any]:
        done = self.http.post(f"{session}/cells", json={"tool": "python", "input": source, **options})
        assert done.status_code == 200, done.text
        return done.json()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, image: Image) -> Iterator[Server]:
    """One for the tests of a module; its sessions are stopped at the end."""
    place = tmp_path_factory.mktemp("server")
    with socket.socket() as free, scripted_model_in_thread(REPLIES) as model:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("ANTHROPIC_", "JUPYTER_"))}
        own = {"CELL_GATEWAY_DATA": str(place / "data"), "CELL_GATEWAY_POOL_SIZE": "0", "NO_PROXY": "*"}
        jupyter = {f"JUPYTER_{k}_DIR": str(place / k) for k in ("RUNTIME", "CONFIG", "DATA")}
        environment = {**ours, **own, **jupyter, "ANTHROPIC_BASE_URL": model.base_url}
        command = [sys.executable, "-m", "tests.server.rest.serving", str(port), TOKEN]
        root = Path(__file__).parents[3]
        with (place / "log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, cwd=root, stdout=subprocess.PIPE, stderr=log)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n", (place / "log").read_text()
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}",
                headers={"Authorization": f"token {TOKEN}"},
                timeout=120,
                trust_env=False,
            ) as http:
                yield Server(port, place / "data", http)
        finally:
            process.terminate()
            process.communicate()
            _stop_all(place / "data")


def _stop_all(data: Path) -> None:
    """In a thread: Playwright's own event loop may be running in this one."""

    async def stop() -> None:
        await asyncio.gather(*(stop_session(folder) for folder in SessionStore(data)))

    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(stop())).result()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is; under root it is installed when it is not there."""
    if (found := _chromium()) is None and os.getuid() == 0 and shutil.which("apt-get"):
        for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", "-q", *command], check=False, capture_output=True, timeout=600)
        found = _chromium()
    if found is None:
        pytest.skip("There is no Chromium: apt-get install chromium")
    return found


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
