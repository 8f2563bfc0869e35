"""`cell-gateway serve` in a process of its own that may be ended at any moment, and clients of its websockets that outlive it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from tornado.httpclient import HTTPError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClientConnection, WebSocketError, websocket_connect

TOKEN = "benchmark"
# A reply that does not come is asked for again: a message runs once.
REPLY_SECONDS = 60.0
_RETRY_SECONDS = 0.2


class Lost(Exception):
    """The websocket closed, or no reply came."""


class Server:
    """One address; its process may be another one after a restart."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> Path:
        return self.folder / "serve.log"

    async def start(self) -> None:
        """Returns when it answers."""
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("ANTHROPIC_", "JUPYTER_"))}
        ours.pop("PYTHONDONTWRITEBYTECODE", None)
        jupyter = {f"JUPYTER_{k}_DIR": str(self.folder / k) for k in ("RUNTIME", "CONFIG", "DATA")}
        own = {"CELL_GATEWAY_DATA": str(self.data), "CELL_GATEWAY_POOL_SIZE": "0", "JUPYTER_TOKEN": TOKEN}
        command = [sys.executable, "-m", "kernel_gateway", "serve", "--port", str(self.port)]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, env={**ours, **jupyter, **own, "NO_PROXY": "*"}, cwd=self.folder, stdout=log, stderr=log
            )
        while self._process.returncode is None:
            with suppress(httpx.TransportError):
                await self.ask("GET", "/api")
                return
            await asyncio.sleep(_RETRY_SECONDS)
        raise RuntimeError(f"The server ended before it answered: {self.log.read_text()[-2000:]}")

    async def end(self, number: signal.Signals) -> int:
        """How the process ended."""
        assert self._process is not None
        self._process.send_signal(number)
        return await self._process.wait()

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of an answer."""
        async with httpx.AsyncClient(timeout=120, trust_env=False) as http:
            url = f"http://127.0.0.1:{self.port}{path}"
            answer = await http.request(method, url, headers={"Authorization": f"token {TOKEN}"}, **options)
        if answer.is_error:
            raise RuntimeError(
                f"{method} {path}: {answer.status_code} {answer.text[:500]}\n{self.log.read_text()[-3000:]}"
            )
        return answer.json() if answer.content else None


class Client:
    """A websocket to one kernel, opened again when it closes."""

    def __init__(self, server: Server, kernel: str) -> None:
        self.server, self.kernel = server, kernel
        self.reconnects = 0
        self._socket: WebSocketClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._replies: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def attach(self) -> None:
        """Returns when the kernel has answered by an open websocket."""
        while True:
            with suppress(Lost):
                await self._ask(_message("kernel_info_request", {}))
                return
            await asyncio.sleep(_RETRY_SECONDS)

    async def run(self, source: str) -> str:
        """The status of its reply; the same message is sent again after a lost connection."""
        content = {"code": source, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        message = _message("execute_request", content)
        while True:
            with suppress(Lost):
                return str((await self._ask(message))["content"]["status"])
            await self.attach()

    async def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._reading is not None:
            await self._reading

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        connection = await self._connected()
        key = message["header"]["msg_id"]
        reply = self._replies[key] = asyncio.get_running_loop().create_future()
        try:
            await connection.write_message(json.dumps(message))
            return await asyncio.wait_for(reply, REPLY_SECONDS)
        except (WebSocketError, StreamClosedError, asyncio.TimeoutError):
            raise Lost from None
        finally:
            self._replies.pop(key, None)

    async def _connected(self) -> WebSocketClientConnection:
        if self._socket is not None:
            return self._socket
        request = HTTPRequest(
            f"ws://127.0.0.1:{self.server.port}/api/kernels/{self.kernel}/channels?token={TOKEN}", request_timeout=30
        )
        try:
            self._socket = await websocket_connect(request)
        except (OSError, HTTPError, StreamClosedError, WebSocketError):
            raise Lost from None
        self.reconnects += self._reading is not None
        self._reading = asyncio.create_task(self._read(self._socket))
        return self._socket

    async def _read(self, connection: WebSocketClientConnection) -> None:
        while (raw := await connection.read_message()) is not None:
            message = json.loads(raw)
            waiting = self._replies.get(message["parent_header"].get("msg_id"))
            if waiting is not None and message["msg_type"].endswith("_reply") and not waiting.done():
                waiting.set_result(message)
        self._socket = None
        for waiting in self._replies.values():
            if not waiting.done():
                waiting.set_exception(Lost())


def _message(kind: str, content: dict[str, Any]) -> dict[str, Any]:
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "session": "b", "username": "b", "version": "5.3"}
    return {
        "channel": "shell",
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "buffers": [],
    }
