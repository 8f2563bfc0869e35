"""The server as a client of its REST interface uses it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.conftest import TOKEN, Serving


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
def server(serving: Serving) -> Iterator[Server]:
    with httpx.Client(
        base_url=f"http://127.0.0.1:{serving.port}",
        headers={"Authorization": f"token {TOKEN}"},
        timeout=120,
        trust_env=False,
    ) as http:
        yield Server(serving.port, serving.data, http)


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
