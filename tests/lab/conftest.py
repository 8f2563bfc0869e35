"""A real `cell-gateway lab` in a process of its own, and Chromium to look at it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from kernel_gateway.image.store import Image
from kernel_gateway.scripted_model import scripted_model_in_thread
from kernel_gateway.session.folder import SessionStore
from tests.conftest import stop_session
from tests.server.conftest import environment, free_port, wait_for_port
from tests.server.page.conftest import browser, chromium

__all__ = ["browser", "chromium"]
TOKEN = "of-the-test"
# An arrow function of Playwright's `evaluate`: the shared model of the notebook in front.
_NOTEBOOK = "window.jupyterapp.shell.currentWidget.content.model.sharedModel"
_IS_READY = """() => {
    const widget = window.jupyterapp?.shell?.currentWidget;
    const session = widget?.sessionContext;
    return widget?.context?.isReady && session?.isReady && session.session?.kernel?.connectionStatus === "connected"
        && widget.content.model.sharedModel.cells.length > 0;
}"""


class LabServer:
    """The server, and what a client of it does. ``restart`` keeps port, token and data."""

    def __init__(self, place: Path, base_url: str) -> None:
        self.place, self.port, self.data = place, free_port(), place / "data"
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {**environment(place), "JUPYTER_TOKEN": TOKEN, "ANTHROPIC_BASE_URL": base_url}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        config = place / "CONFIG"
        config.mkdir(parents=True, exist_ok=True)
        (config / "jupyter_lab_config.json").write_text(json.dumps({"LabApp": {"expose_app_in_browser": True}}))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "kernel_gateway", "lab", "--no-browser", "--port", str(self.port)]
        with (self.place / "log").open("ab") as log:
            self._process = subprocess.Popen(command, env=self.environment, cwd=self.place, stdout=log, stderr=log)
        wait_for_port(self.port, self._process)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """As by ``kill -9``."""
        os.kill(self.pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def restart(self) -> None:
        """Kill it unless it is dead, and start it anew."""
        if self.is_running:
            self.kill()
        self.start()

    def end(self) -> int:
        assert self._process is not None
        self._process.terminate()
        return self._process.wait()

    def log(self) -> str:
        return (self.place / "log").read_text()

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        options.setdefault("headers", {"Authorization": f"token {TOKEN}"})
        return httpx.request(method, f"{self.url}{path}", timeout=120, trust_env=False, **options)

    def new(self, name: str, *sources: str, **options: Any) -> str:
        """A session made through the server, with these cells run as the model's; its id."""
        made = self.ask("POST", "/api/gateway/sessions", json={"name": name, **options})
        assert made.status_code == 201, made.text
        for source in sources:
            self.run(name, source)
        return name

    def run(self, session: str, source: str) -> dict[str, Any]:
        """As a tool call of the model runs."""
        body = {"tool": "python", "input": source}
        done = self.ask("POST", f"/api/gateway/sessions/{session}/cells", json=body)
        assert done.status_code == 200, done.text
        return done.json()

    def command(self, *arguments: str, text: str = "") -> str:
        """Another process's `cell-gateway` on the same data; what it prints."""
        return self._command(arguments, text).stdout

    def said(self, *arguments: str) -> str:
        """What it says beside that, to a person."""
        return self._command(arguments, "").stderr

    def _command(self, arguments: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "kernel_gateway", *arguments],
            env=self.environment,
            cwd=self.place,
            input=text,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, image: Image) -> Iterator[LabServer]:
    """One for the tests of a module, with the model scripted by its ``REPLIES``; its sessions are stopped at the end."""
    place = tmp_path_factory.mktemp("lab")
    with scripted_model_in_thread(getattr(request.module, "REPLIES", [])) as model:
        server = LabServer(place, model.base_url)
        server.start()
        yield server
        if server.is_running:
            server.end()
        # In a thread: Playwright's own event loop may be running in this one.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(_stop_all(server.data))).result()


async def _stop_all(data: Path) -> None:
    await asyncio.gather(*(stop_session(session) for session in SessionStore(data)))


@pytest.fixture
def page(browser: Browser, lab: LabServer) -> Iterator[Page]:
    """A page with the server's cookie, not opened anywhere; whatever it gets from elsewhere fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page, elsewhere = context.new_page(), list[str]()
    inside = (lab.url, f"ws{lab.url[4:]}", "data:", "blob:", "about:")
    # By their answers: a request that the browser itself refuses to make is announced too.
    page.on("response", lambda reply: None if reply.url.startswith(inside) else elsewhere.append(reply.url))
    context.request.get(f"{lab.url}/api/status", params={"token": TOKEN})
    yield page
    context.close()
    assert elsewhere == []


def open_notebook(
    page: Page, lab: LabServer, session: str, place: str = "/lab/workspaces/{0}/tree/{0}/notebook.ipynb"
) -> None:
    """Return when it is there with its cells, attached to its kernel."""
    page.goto(f"{lab.url}{place.format(session)}?token={TOKEN}")
    wait_until_ready(page)


def wait_until_ready(page: Page) -> None:
    """Of the notebook in front."""
    page.wait_for_function(_IS_READY, timeout=60_000)


def cells(page: Page) -> list[dict[str, Any]]:
    """Of the shared document of the notebook in front, as nbformat has them; those out of sight too."""
    return page.evaluate(f"{_NOTEBOOK}.cells.map(cell => cell.toJSON())")


def kernel_of(page: Page) -> str:
    """The id of the kernel to which the notebook in front is attached."""
    return page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.id")
