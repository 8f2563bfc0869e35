"""A host as a tunnel: bytes both ways, once the TLS in it is seen to be meant for that host."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from .exchange import CHUNK, WRITE_SECONDS
from .hello import HelloGuard, Refused
from .outward import Streams

HELLO_SECONDS = 20.0
# Nothing in either direction for so long ends it.
IDLE_SECONDS = 15 * 60.0


class Tunnel:
    """``up`` and ``down`` count the bytes passed on so far."""

    def __init__(self, inside: Streams, outside: Streams, host: str, port: int) -> None:
        self._inside, self._outside = inside, outside
        self._guard = HelloGuard(host)
        # On port 80 plain HTTP is usual; TLS there is held to the same rule.
        self._may_be_plain = port == 80
        self.up = self.down = 0
        self.on_bytes: Callable[[], None] = lambda: None
        self._seen = 0

    async def run(self, first: bytes) -> None:
        """Until both sides have ended, or one is lost. ``first`` is what the client sent early. Raises Refused."""
        await self._greet(first)
        ways = [
            asyncio.create_task(self._copy(self._inside[0], self._outside[1], is_up=True)),
            asyncio.create_task(self._copy(self._outside[0], self._inside[1], is_up=False)),
            asyncio.create_task(self._watch()),
        ]
        try:
            await _until_over(ways[:2], ways[2])
        finally:
            for task in ways:
                task.cancel()
            results = await asyncio.gather(*ways, return_exceptions=True)
        for result in results:
            if isinstance(result, Refused):
                raise result

    async def _greet(self, data: bytes) -> None:
        """The first message whole, before the host sees a byte of it."""
        deadline = asyncio.get_running_loop().time() + HELLO_SECONDS
        while True:
            if data and self._may_be_plain and data[0] != 22:
                self._guard.is_done = True
            if passed := self._guard.feed(data):
                return await self._write(self._outside[1], passed, is_up=True)
            left = deadline - asyncio.get_running_loop().time()
            data = await asyncio.wait_for(self._inside[0].read(CHUNK), max(0.0, left))
            if not data:
                raise Refused("the tunnel ended before it began")

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if is_up and not self._guard.is_done:
                    data = self._guard.feed(data)
                await self._write(writer, data, is_up=is_up)
            if writer.can_write_eof():
                writer.write_eof()
            return
        # One side was lost: the other has nobody to talk to.
        for _, end in (self._inside, self._outside):
            end.close()

    async def _write(self, writer: asyncio.StreamWriter, data: bytes, *, is_up: bool) -> None:
        if is_up:
            self.up += len(data)
        else:
            self.down += len(data)
        self.on_bytes()
        writer.write(data)
        await asyncio.wait_for(writer.drain(), WRITE_SECONDS)

    async def _watch(self) -> None:
        """Returns when nothing has moved for a whole period."""
        while (moved := self.up + self.down) != self._seen:
            self._seen = moved
            await asyncio.sleep(IDLE_SECONDS)


async def _until_over(ways: list[asyncio.Task[None]], watch: asyncio.Task[None]) -> None:
    """Both ways have ended, or one with an error, or nothing moved for too long."""
    while not all(way.done() for way in ways) and not watch.done():
        await asyncio.wait({way for way in ways if not way.done()} | {watch}, return_when=asyncio.FIRST_COMPLETED)
        if any(way.done() and way.exception() for way in ways):
            return
