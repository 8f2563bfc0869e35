"""The real proxy on a real socket; outside, a small HTTPS server on loopback that stands at public addresses."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from kernel_gateway.egress.channel import Channel, Packet, socket_pair
from kernel_gateway.egress.hosts import HostRule
from kernel_gateway.egress.outward import Dialer, Streams
from kernel_gateway.egress.proxy import Proxy

CERTIFICATES = Path(__file__).parent / "certificates"
# Never connected to: `Outside` stands there.
PUBLIC = "8.8.4.4"
NAMES = ("api.example.com", "files.example.com", "other.example.com")


class Outside:
    """What the proxy takes for the internet. ``seen`` holds each request's head and body, ``served`` what answers it."""

    def __init__(self) -> None:
        self.addresses: dict[str, Sequence[str]] = {name: [PUBLIC] for name in NAMES}
        self.connected: list[tuple[str, int]] = []
        self.seen: list[bytes] = []
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
        self.endless = False
        self._ports: dict[int, int] = {}
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATES / "server.pem")
        for port, tls in ((443, context), (80, None)):
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
            self._servers.append(server)
            self._ports[port] = server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
            await server.wait_closed()

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        return self.addresses[host]

    async def connect(self, address: str, port: int) -> Streams:
        self.connected.append((address, port))
        return await asyncio.open_connection("127.0.0.1", self._ports[port])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.seen.append(head + await _body(reader, head))
                writer.write(self.answer)
                await writer.drain()
                while self.endless:
                    writer.write(b"x" * 10_000)
                    await writer.drain()
                    await asyncio.sleep(0.01)
        writer.close()


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    lower = head.lower()
    if b"content-length:" in lower:
        return await reader.readexactly(int(lower.split(b"content-length:")[1].split(b"\r\n")[0]))
    return await reader.readuntil(b"0\r\n\r\n") if b"transfer-encoding:" in lower else b""


class Way:
    """A proxy with us as its supervisor. ``lines`` is its audit."""

    def __init__(self, folder: Path, outside: Outside) -> None:
        self.path = folder / "socket"
        self.outside = outside
        self.lines: list[dict[str, Any]] = []
        self.opened: list[Packet] = []
        self.asked: asyncio.Queue[Packet] = asyncio.Queue()
        self._written = asyncio.Condition()
        ours, theirs = socket_pair()
        self._ours = Channel(ours, self._on_packet, lambda: None)
        self.proxy = Proxy(theirs, {}, Dialer({}, resolve=outside.resolve, connect=outside.connect))
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.path))
        self._listening.listen(256)
        self._listening.setblocking(False)
        self._serving = asyncio.create_task(self.proxy.serve(self._listening))

    def _on_packet(self, packet: Packet) -> None:
        if packet["op"] == "close":
            self.lines.append(packet["line"])
        elif packet["op"] == "open":
            self.opened.append(packet)
        elif packet["op"] == "ask":
            self.asked.put_nowait(packet)
        elif packet["op"] == "npm":
            self.tell({"op": "npm", "upstreams": None})

    def tell(self, packet: Packet) -> None:
        assert self._ours.send_now(packet)

    def rules(self, mode: str, *hosts: HostRule, is_cut: bool = False, denied: Sequence[tuple[str, str]] = ()) -> None:
        packet = {"op": "rules", "mode": mode, "hosts": [h.to_json() for h in hosts], "denied": list(denied)}
        self.tell({**packet, "is_cut": is_cut})

    async def open(self) -> Streams:
        return await asyncio.open_unix_connection(self.path)

    async def talk(self, sent: bytes) -> bytes:
        """All that comes back until the connection ends. ``sent`` should ask for that."""
        reader, writer = await self.open()
        try:
            with contextlib.suppress(ConnectionError):
                writer.write(sent)
                await writer.drain()
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def audited(self, count: int = 1) -> list[dict[str, Any]]:
        """The first lines of the audit, once there are so many."""
        async with asyncio.timeout(20) if hasattr(asyncio, "timeout") else contextlib.AsyncExitStack():
            while len(self.lines) < count:
                await asyncio.sleep(0.01)
        return self.lines

    async def close(self) -> None:
        self._ours.close()
        await asyncio.wait_for(self._serving, 20)
        self._listening.close()


@pytest_asyncio.fixture
async def outside(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Outside]:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "authority.pem"))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    server = Outside()
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def way(tmp_path: Path, outside: Outside) -> AsyncIterator[Way]:
    found = Way(tmp_path, outside)
    found.rules("list", HostRule("api.example.com", "gateway"), HostRule("files.example.com", "tunnel"))
    yield found
    await found.close()
