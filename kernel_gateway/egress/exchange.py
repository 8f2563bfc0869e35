"""One connection from a sandbox: requests read strictly (h11), answers written, bytes counted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from http import HTTPStatus

import h11

# A head beyond it is refused; below it, what is too long can still be named in the audit.
HEAD_LIMIT = 256 * 1024
HEAD_SECONDS = 20.0
IDLE_SECONDS = 75.0
WRITE_SECONDS = 120.0
CHUNK = 64 * 1024
_LINGER_BYTES, _LINGER_SECONDS = 4 * 1024 * 1024, 3.0

Headers = Sequence[tuple[bytes, bytes]]


class Exchange:
    """``up`` and ``down`` are the body bytes of the current request and its answer."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, inside: str | None = None, early: bytes = b""
    ) -> None:
        self.reader, self.writer = reader, writer
        # The host of a CONNECT to port 80, when the requests that follow it are ours to serve; ``early`` is their beginning.
        self.inside = inside
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
        if early:
            self._http.receive_data(early)
        self.up = self.down = 0
        # Told the host and path that the current request leads to, where these are not those that it names.
        self.on_reached: Callable[[str, str], Awaitable[None]] | None = None
        # SHA-256 in hex of a registry's file that was answered with, once it has passed whole.
        self.sha256: str | None = None
        self._is_first = True

    async def reached(self, host: str, path: str) -> None:
        if self.on_reached is not None:
            await self.on_reached(host, path)

    async def request(self) -> h11.Request | None:
        """The next one; None when there is no more. Raises h11.RemoteProtocolError for what is no HTTP, asyncio.TimeoutError."""
        self.up, self.down, self.on_reached, self.sha256 = 0, 0, None, None
        # The first head, and each that has begun, must come soon; between requests a connection may rest.
        if not self._is_first and not self._http.trailing_data[0]:
            data = await asyncio.wait_for(self.reader.read(CHUNK), IDLE_SECONDS)
            self._http.receive_data(data)
        self._is_first = False
        event = await asyncio.wait_for(self._next_event(), HEAD_SECONDS)
        return event if isinstance(event, h11.Request) else None

    async def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(await self.reader.read(CHUNK))
        return event

    async def body(self) -> AsyncIterator[bytes]:
        """What the client sends with its request. Raises h11.RemoteProtocolError."""
        while isinstance(event := await asyncio.wait_for(self._next_event(), IDLE_SECONDS), h11.Data):
            self.up += len(event.data)
            yield bytes(event.data)

    async def respond(self, status: int, headers: Headers, reason: str = "") -> None:
        await self._send(h11.Response(status_code=status, headers=list(headers), reason=reason.encode()))

    async def data(self, data: bytes) -> None:
        self.down += len(data)
        await self._send(h11.Data(data=data))

    async def end(self) -> None:
        await self._send(h11.EndOfMessage())

    async def answer(
        self, status: int, text: str, headers: Headers = (), *, method: str = "GET", reason: str = ""
    ) -> None:
        """A whole answer of plain text, after which the connection ends. Of a CONNECT, clients show only the ``reason``, if that."""
        reason = "".join(c if " " <= c <= "~" else "?" for c in reason[:200]) or HTTPStatus(status).phrase
        body = text.encode()
        fixed = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        if self.has_answered:
            return
        await self.respond(status, [*fixed, *headers], reason)
        if method != "HEAD":
            await self.data(body)
        await self.end()
        await self._linger()

    def next_cycle(self) -> bool:
        """Whether another request can follow on this connection."""
        while self._http.their_state is h11.SEND_BODY and isinstance(
            self._http.next_event(), (h11.Data, h11.EndOfMessage)
        ):
            # What of the request nobody has read yet; its end, mostly.
            continue
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def switch(self) -> bytes:
        """Answer a CONNECT; what the client has sent after it already."""
        await self.respond(200, [], "Connection established")
        # The end of its empty request.
        self._http.next_event()
        return self._http.trailing_data[0]

    @property
    def has_answered(self) -> bool:
        return self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE)

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self.writer.write(data)
            await asyncio.wait_for(self.writer.drain(), WRITE_SECONDS)

    async def _linger(self) -> None:
        """A close with unread bytes would take the answer away from the client, so a little is read and thrown away."""
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            if self.writer.can_write_eof():
                self.writer.write_eof()
            await asyncio.wait_for(self._drain(), _LINGER_SECONDS)

    async def _drain(self) -> None:
        seen = 0
        while seen < _LINGER_BYTES and (data := await self.reader.read(CHUNK)):
            seen += len(data)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
