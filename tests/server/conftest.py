"""A real `cell-gateway serve`, in a process of its own that a test may kill and start again on the same data."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from kernel_gateway.image.store import Image
from kernel_gateway.scripted_model import Scripted, scripted_model_in_thread, text, tool_use
from kernel_gateway.session.folder import SessionStore
from kernel_gateway.session.lifetime import delete_session
from tests.conftest import stop_session

ROOT = Path(__file__).parents[2]
TOKEN = "of-the-test"
V1 = "v1.kernel.websocket.jupyter.org"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def environment(place: Path) -> dict[str, str]:
    """Of all processes of a test: its own data, and our kernelspec as an installation puts it."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("ANTHROPIC_", "JUPYTER_"))}
    # Compiled anew in every process, the packages of a server take longer to load than all that it does.
    ours.pop("PYTHONDONTWRITEBYTECODE", None)
    jupyter = {f"JUPYTER_{k}_DIR": str(place / k) for k in ("RUNTIME", "CONFIG", "DATA")}
    own = {"CELL_GATEWAY_DATA": str(place / "data"), "CELL_GATEWAY_POOL_SIZE": "0", "CELL_GATEWAY_ENGINE": "bubblewrap"}
    path = str(ROOT / "share" / "jupyter")
    return {**ours, **jupyter, **own, "JUPYTER_PATH": path, "NO_PROXY": "*", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until a process that was just started is there."""
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("The process ended before it listened.")


class Serving:
    """The server, and what a client of it does."""

    def __init__(self, place: Path, **environ: str) -> None:
        self.place, self.port = place, free_port()
        self.data = place / "data"
        self.process: subprocess.Popen[bytes] | None = None
        self._environment = {**environment(place), "JUPYTER_TOKEN": TOKEN, **environ}

    def start(self) -> None:
        command = [sys.executable, "-m", "kernel_gateway", "serve", "--port", str(self.port)]
        with (self.place / "log").open("ab") as log:
            self.process = subprocess.Popen(command, env=self._environment, cwd=self.place, stdout=log, stderr=log)
        wait_for_port(self.port, self.process)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log(self) -> str:
        return (self.place / "log").read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait()

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        options.setdefault("headers", {"Authorization": f"token {TOKEN}"})
        return httpx.request(method, f"http://127.0.0.1:{self.port}{path}", timeout=120, trust_env=False, **options)

    def new_kernel(self, **body: Any) -> str:
        made = self.ask("POST", "/api/kernels", **({"json": body} if body else {}))
        assert made.status_code == 201, made.text + self.log()
        return made.json()["id"]

    async def connect(
        self, kernel: str, *, query: str = f"?token={TOKEN}", protocol: str = ""
    ) -> WebSocketClientConnection:
        request = HTTPRequest(f"ws://127.0.0.1:{self.port}/api/kernels/{kernel}/channels{query}")
        return await websocket_connect(request, subprotocols=[protocol] if protocol else None)

    async def run(self, kernel: str, code: str, **message: Any) -> str:
        """What a cell prints, by a websocket of its own."""
        socket = await self.connect(kernel)
        try:
            return await run(socket, code, **message)
        finally:
            await close(socket)


async def close(socket: WebSocketClientConnection) -> None:
    """Until it is closed at both ends."""
    socket.close()
    while await socket.read_message() is not None:
        pass


async def run(socket: WebSocketClientConnection, code: str, **message: Any) -> str:
    """All text until the reply and the end of the outputs."""
    request = execute_request(code, **message)
    await socket.write_message(json.dumps(request))
    said, left = "", {"execute_reply", "idle"}
    while left:
        raw = await asyncio.wait_for(socket.read_message(), 60)
        assert raw is not None, "the server closed the websocket"
        answer = json.loads(raw)
        if answer["parent_header"].get("msg_id") != request["header"]["msg_id"]:
            continue
        content = answer["content"]
        said += content.get("text", "") if answer["msg_type"] == "stream" else ""
        said += f"{content['ename']}: {content['evalue']}" if answer["msg_type"] == "error" else ""
        left.discard(answer["msg_type"])
        left.discard(content.get("execution_state", ""))
    return said


def execute_request(code: str, **message: Any) -> dict[str, Any]:
    header = {"msg_id": uuid4().hex, "msg_type": "execute_request", "session": "s", "username": "u", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    message = {"channel": "shell", "parent_header": {}, "metadata": {}, "content": content, "buffers": [], **message}
    return {**{k: v for k, v in message.items() if v is not None}, "header": {**header, **message.pop("header", {})}}


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, image: Image) -> Iterator[Path]:
    """A folder of its own; its sessions are stopped at the end."""
    folder = tmp_path_factory.mktemp("serve")
    yield folder
    in_thread(stop_all, folder / "data")


REPLIES = [Scripted([text("I count."), tool_use("toolu_1", "python", code="print(6 * 7)")]), Scripted([text("42.")])]


@pytest.fixture(scope="session")
def one_server(place: Path) -> Iterator[Serving]:
    """For all tests of a run, with a scripted model that gives `REPLIES` once."""
    with scripted_model_in_thread(REPLIES) as model:
        server = Serving(place, ANTHROPIC_BASE_URL=model.base_url)
        yield server
        if server.is_running:
            server.end()


@pytest.fixture(scope="module")
def serving(one_server: Serving) -> Serving:
    """It runs, and has no session yet."""
    in_thread(delete_all, one_server.data)
    if not one_server.is_running:
        one_server.start()
    return one_server


def in_thread(work: Callable[[Path], Coroutine[Any, Any, None]], data: Path) -> None:
    """Playwright's own event loop may be running in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(work(data))).result()


async def stop_all(data: Path) -> None:
    await asyncio.gather(*(stop_session(session) for session in SessionStore(data)))


async def delete_all(data: Path) -> None:
    await asyncio.gather(*(delete_session(session) for session in SessionStore(data)))
