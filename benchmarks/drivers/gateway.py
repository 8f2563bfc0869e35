"""jupyter_kernel_gateway: kernels by REST, cells by websocket."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import uuid
from time import perf_counter
from typing import Any

from serving import serve
from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import WebSocketClientConnection, websocket_connect

_loop = asyncio.new_event_loop()


class Gateway:
    """A server of its own on a free port of the loopback."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "kernel_gateway", "--KernelGatewayApp.ip=127.0.0.1"]
        command += [f"--KernelGatewayApp.port={_free_port()}", "--KernelGatewayApp.port_retries=0"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        assert self._process.stderr is not None
        self.address = (
            next(line for line in self._process.stderr if "available at" in line).split("http://")[1].strip(" /\n")
        )
        threading.Thread(target=self._process.stderr.read, daemon=True).start()

    async def open(self) -> tuple[str, WebSocketClientConnection]:
        body = json.dumps({"name": "image"})
        answer = await AsyncHTTPClient().fetch(f"http://{self.address}/api/kernels", method="POST", body=body)
        kernel = json.loads(answer.body)["id"]
        return kernel, await websocket_connect(f"ws://{self.address}/api/kernels/{kernel}/channels")

    async def close(self, kernel: str, connection: WebSocketClientConnection) -> None:
        connection.close()
        await AsyncHTTPClient().fetch(f"http://{self.address}/api/kernels/{kernel}", method="DELETE")

    async def start(self) -> dict[str, Any]:
        began = perf_counter()
        kernel, connection = await self.open()
        await _execute(connection, "1+1")
        seconds = perf_counter() - began
        await self.close(kernel, connection)
        return {"seconds": seconds}

    async def passes(self, count: int) -> dict[str, Any]:
        kernel, connection = await self.open()
        await _execute(connection, "pass")
        seconds: list[float] = []
        for _ in range(count):
            began = perf_counter()
            await _execute(connection, "pass")
            seconds.append(perf_counter() - began)
        await self.close(kernel, connection)
        return {"seconds": seconds}

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def _execute(connection: WebSocketClientConnection, code: str) -> None:
    """Return with reply and idle."""
    wanted = uuid.uuid4().hex
    header = {"msg_id": wanted, "username": "", "session": "bench", "msg_type": "execute_request", "version": "5.4"}
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    request = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    await connection.write_message(json.dumps(request))
    replied = idle = False
    while not (replied and idle):
        text = await connection.read_message()
        if text is None:
            raise ConnectionError("the gateway closed the websocket")
        message = json.loads(text)
        if message["parent_header"].get("msg_id") == wanted:
            replied = replied or message["msg_type"] == "execute_reply"
            idle = idle or message["content"].get("execution_state") == "idle"


if __name__ == "__main__":
    gateway = Gateway()
    try:
        serve(
            {
                "start": lambda: _loop.run_until_complete(gateway.start()),
                "passes": lambda count: _loop.run_until_complete(gateway.passes(count)),
            }
        )
    finally:
        gateway.end()
