"""ZMQ sockets on the asyncio loop: the five that clients see, and ours to the kernel. Nothing here decides anything."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import secrets
from collections import deque
from collections.abc import Callable
from pathlib import Path

import zmq

from ..errors import KernelDied
from . import zmtp
from .arrivals import open_kernel_socket

# A client that reads slowly loses messages beyond this many; outputs are batched, so that is hours of printing.
CLIENT_HIGH_WATER = 10_000
# Messages from this size on count against what may wait for all clients together; beyond it nobody gets them.
LARGE_BYTES = 4096
UNREAD_BYTES = 16 * 1024**2
# Messages handled in one go before others get their turn.
BATCH = 200

OnFrames = Callable[[list[bytes]], None]

PORTS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4, "hb": 5}


class Channel:
    """One socket that never blocks: frames are handed to ``on_frames`` as they come.

    ZMQ's file descriptor is edge-triggered: after each receive *and send* the socket must be asked again, or it falls silent.
    """

    def __init__(self, socket: zmq.Socket[bytes], on_frames: Callable[[list[bytes]], None]) -> None:
        self._socket, self._on_frames = socket, on_frames
        self._loop = asyncio.get_running_loop()
        self._fd = int(socket.getsockopt(zmq.FD))  # pyright: ignore[reportArgumentType]
        self._scheduled = False
        # Large messages that a client has not taken yet, and their bytes.
        self._unread: deque[tuple[zmq.MessageTracker, int]] = deque()
        self._unread_bytes = 0
        self._loop.add_reader(self._fd, self.drain)
        self._schedule()

    def send(self, frames: list[bytes]) -> None:
        """A peer that is gone or too slow loses the message, as everywhere in ZMQ."""
        if self._socket.closed:
            return
        size = sum(map(len, frames))
        with contextlib.suppress(zmq.Again):
            if size < LARGE_BYTES:
                self._socket.send_multipart(frames, zmq.NOBLOCK)
            elif self._has_room(size):
                tracker = self._socket.send_multipart(frames, zmq.NOBLOCK, copy=False, track=True)
                if tracker is not None:
                    self._unread.append((tracker, size))
                    self._unread_bytes += size
        self._schedule()

    def _has_room(self, size: int) -> bool:
        while self._unread and self._unread[0][0].done:
            self._unread_bytes -= self._unread.popleft()[1]
        return self._unread_bytes == 0 or self._unread_bytes + size <= UNREAD_BYTES

    def drain(self) -> None:
        """Handle what has arrived, at most `BATCH` messages; the rest comes in the next round of the loop."""
        for _ in range(BATCH):
            if self._socket.closed or not self._socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:  # pyright: ignore[reportOperatorIssue]
                return
            self._on_frames(self._socket.recv_multipart(zmq.NOBLOCK))
        self._schedule()

    def close(self) -> None:
        if not self._socket.closed:
            self._loop.remove_reader(self._fd)
            self._socket.close(linger=0)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._scheduled_drain)

    def _scheduled_drain(self) -> None:
        self._scheduled = False
        self.drain()


class ClientSockets:
    """The supervisor's own five Jupyter sockets, and the connection file that names them; 0600 in a 0700 folder."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        folder: Path,
        *,
        on_shell: Callable[[list[bytes]], None],
        on_control: Callable[[list[bytes]], None],
        on_stdin: Callable[[list[bytes]], None],
        on_subscribe: Callable[[bytes], None],
    ) -> None:
        self.key = secrets.token_hex(32)
        self.connection_file = folder / "connection.json"
        prefix = str(folder / "s")
        sockets = {name: context.socket(kind) for name, kind in _CLIENT_KINDS.items()}
        for name, socket in sockets.items():
            path = Path(f"{prefix}-{PORTS[name]}")
            path.unlink(missing_ok=True)
            socket.setsockopt(zmq.SNDHWM, CLIENT_HIGH_WATER)
            socket.setsockopt(zmq.RCVHWM, CLIENT_HIGH_WATER)
            if name == "iopub":
                # Each subscriber is told of, also the second of a topic.
                socket.setsockopt(zmq.XPUB_VERBOSE, 1)
            socket.bind(f"ipc://{path}")
        self.shell = Channel(sockets["shell"], on_shell)
        self.control = Channel(sockets["control"], on_control)
        self.stdin = Channel(sockets["stdin"], on_stdin)
        self.iopub = Channel(sockets["iopub"], lambda frames: _subscribed(frames, on_subscribe))
        self.heartbeat = Channel(sockets["hb"], self._echo)
        write_connection_file(self.connection_file, prefix, self.key)

    def _echo(self, frames: list[bytes]) -> None:
        self.heartbeat.send(frames)

    def close(self) -> None:
        for channel in (self.shell, self.control, self.stdin, self.iopub, self.heartbeat):
            channel.close()
        self.connection_file.unlink(missing_ok=True)


def _subscribed(frames: list[bytes], on_subscribe: Callable[[bytes], None]) -> None:
    if frames[0][:1] == b"\x01":
        on_subscribe(frames[0][1:])


_CLIENT_KINDS = {"shell": zmq.ROUTER, "control": zmq.ROUTER, "stdin": zmq.ROUTER, "iopub": zmq.XPUB, "hb": zmq.ROUTER}


class KernelSockets:
    """Our side of the kernel's sockets. ``folder`` is writable for the code inside: nothing in it is ever read again.

    What lies at the sockets' names is opened once, and must be sockets of ``owner``. Raises KernelDied when it is not.
    """

    def __init__(
        self,
        folder: Path,
        owner: int,
        *,
        on_shell: OnFrames,
        on_control: OnFrames,
        on_stdin: OnFrames,
        on_iopub: OnFrames,
        on_too_large: Callable[[str, list[bytes]], None],
    ) -> None:
        handlers = {"shell": on_shell, "control": on_control, "stdin": on_stdin, "iopub": on_iopub}
        self._fds: dict[str, int] = {}
        self._peers: dict[str, zmtp.Peer] = {}
        # A kernel asks for input on stdin by the identity that its shell heard.
        identity = secrets.token_hex(16).encode()
        for name, on_frames in handlers.items():
            hello = zmtp.ready("SUB") if name == "iopub" else zmtp.ready("DEALER", identity)
            self._peers[name] = zmtp.Peer(on_frames, functools.partial(on_too_large, name), hello)
        self._peers["iopub"].send(zmtp.SUBSCRIBE)
        try:
            for name in handlers:
                self._fds[name] = open_kernel_socket(folder / f"k-{PORTS[name]}", owner)
        except FileNotFoundError as error:
            self.close()
            raise KernelDied("crash", "It removed its sockets.") from error
        except BaseException:
            self.close()
            raise

    async def connect(self) -> None:
        """Raises KernelDied."""
        for name, peer in self._peers.items():
            try:
                await zmtp.connect(self._fds[name], peer)
            except OSError as error:
                raise KernelDied("crash", f"Its {name} socket does not answer: {error.strerror}.") from None
            os.close(self._fds.pop(name))

    def send(self, channel: str, frames: list[bytes]) -> None:
        self._peers[channel].send(frames)

    async def until_ended(self) -> None:
        """Until the kernel has closed its end and all that it said has been handled."""
        await self._peers["iopub"].ended.wait()
        await self._peers["shell"].ended.wait()

    def close(self) -> None:
        for peer in self._peers.values():
            peer.close()
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()


def write_connection_file(path: Path, prefix: str, key: str) -> None:
    """What any ``jupyter_client`` reads: transport ipc, where ip is the path's prefix and a port its number."""
    values = {
        "transport": "ipc",
        "ip": prefix,
        "key": key,
        "signature_scheme": "hmac-sha256",
        "kernel_name": "cell-gateway",
        **{f"{name}_port": number for name, number in PORTS.items()},
    }
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(values, file)
