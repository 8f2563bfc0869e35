"""A bare kernel, by jupyter_client: started, asked, read. Also any other kernel, by its connection file."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from serving import serve

_TIMEOUT = 60
_clients: dict[str, BlockingKernelClient] = {}
_managers: list[KernelManager] = []


def _execute(client: Any, code: str, outputs: list[dict[str, Any]] | None = None) -> None:
    """Return with the kernel's reply and idle, as every front end waits for."""
    wanted = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=_TIMEOUT)
        if message["parent_header"].get("msg_id") != wanted:
            continue
        if outputs is not None and message["msg_type"] == "stream":
            outputs.append(message["content"])
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            break
    while client.get_shell_msg(timeout=_TIMEOUT)["parent_header"].get("msg_id") != wanted:
        pass


def _execute_without_iopub(client: Any, code: str) -> None:
    """The first cell of a kernel that has just started: its iopub may not be connected yet, its reply says enough."""
    wanted = client.execute(code)
    while client.get_shell_msg(timeout=_TIMEOUT)["parent_header"].get("msg_id") != wanted:
        pass


def start() -> dict[str, Any]:
    """A cold kernel to the reply of its first cell. The request is sent before the kernel listens: no polling is counted."""
    began = perf_counter()
    manager = KernelManager(kernel_name="image", context=_eager_context())
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    _execute_without_iopub(client, "1+1")
    seconds = perf_counter() - began
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    return {"seconds": seconds}


def start_in_bwrap(command: list[str]) -> dict[str, Any]:
    """The same in a sandbox; ``command`` is bwrap with its options, and FOLDER where the folder of the sockets goes."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        began = perf_counter()
        file = Path(folder) / "connection.json"
        file.write_text(json.dumps(_connection(f"{folder}/k")))
        process = subprocess.Popen([part.replace("FOLDER", folder) for part in command], stdin=subprocess.DEVNULL)
        client = BlockingKernelClient(context=_eager_context())
        client.load_connection_file(str(file))
        client.start_channels()
        _execute_without_iopub(client, "1+1")
        seconds = perf_counter() - began
        client.stop_channels()
        process.kill()
        process.wait()
    return {"seconds": seconds}


def _connection(prefix: str) -> dict[str, Any]:
    ports = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4, "hb": 5}
    return {
        "transport": "ipc",
        "ip": prefix,
        "key": os.urandom(16).hex(),
        "signature_scheme": "hmac-sha256",
        **{f"{name}_port": number for name, number in ports.items()},
    }


def _eager_context() -> Any:
    """ZMQ tries again after 100 ms when nobody listens yet; that would be a delay of the measurement's own."""
    context: Any = zmq.Context()
    context.setsockopt(zmq.RECONNECT_IVL, 2)
    context.setsockopt(zmq.LINGER, 0)
    return context


def keep(name: str) -> dict[str, Any]:
    """A bare kernel that stays, for ``passes`` and ``lines``."""
    manager = KernelManager(kernel_name="image")
    manager.start_kernel()
    _managers.append(manager)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=_TIMEOUT)
    _clients[name] = client
    process: Any = manager.provisioner
    return {"pid": process.pid}


def connect(name: str, connection_file: str) -> dict[str, Any]:
    """Somebody else's kernel."""
    client = BlockingKernelClient()
    client.load_connection_file(connection_file)
    client.start_channels()
    client.wait_for_ready(timeout=_TIMEOUT)
    _clients[name] = client
    return {}


def passes(name: str, count: int) -> dict[str, Any]:
    client, seconds = _clients[name], list[float]()
    for _ in range(count):
        began = perf_counter()
        _execute(client, "pass")
        seconds.append(perf_counter() - began)
    return {"seconds": seconds}


def lines(name: str, source: str) -> dict[str, Any]:
    outputs: list[dict[str, Any]] = []
    began = perf_counter()
    _execute(_clients[name], source, outputs)
    seconds = perf_counter() - began
    return {"seconds": seconds, "lines": sum(o["text"].count("\n") for o in outputs if o["name"] == "stdout")}


def end() -> None:
    for client in _clients.values():
        with contextlib.suppress(queue.Empty):
            client.stop_channels()
    for manager in _managers:
        manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    operations = (start, start_in_bwrap, keep, connect, passes, lines)
    try:
        serve({operation.__name__: operation for operation in operations})
    finally:
        end()
