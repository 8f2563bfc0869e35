"""The relay carries bytes faithfully, whatever the two sides do."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from kernel_gateway.egress import relay
from kernel_gateway.egress.inside import relay_source
from tests.conftest import alive


class Bridge:
    """A relay in a process of its own, between ``port`` and a server of ours on ``path``."""

    def __init__(self, port: int, process: asyncio.subprocess.Process, path: Path) -> None:
        self.port, self.process, self.path = port, process, path

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", self.port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[Bridge]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = tmp_path / "socket"
    source = relay_source().decode().replace("Relay(PORT, SOCKET)", f"Relay({port}, {str(path)!r})")
    process = await asyncio.create_subprocess_exec(sys.executable, "-I", "-S", "-c", source)
    yield Bridge(port, process, path)
    process.kill()
    await process.wait()


async def serve(bridge: Bridge, handle: object) -> asyncio.Server:
    return await asyncio.start_unix_server(handle, bridge.path)  # pyright: ignore[reportArgumentType]


async def test_megabytes_pass_both_ways_at_once_unchanged(bridge: Bridge) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(70_000):
            writer.write(data)
            await writer.drain()
        writer.close()

    data = os.urandom(8_000_000)
    async with await serve(bridge, echo):
        reader, writer = await bridge.open()

        async def send() -> None:
            writer.write(data)
            await writer.drain()
            writer.write_eof()

        _, received = await asyncio.gather(send(), reader.read())
        writer.close()
    assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()


async def test_the_end_of_one_direction_is_passed_on_and_the_other_goes_on(bridge: Bridge) -> None:
    async def answer_at_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"got " + await reader.read())
        writer.close()

    async with await serve(bridge, answer_at_end):
        reader, writer = await bridge.open()
        writer.write(b"all")
        writer.write_eof()
        assert await reader.read() == b"got all"
        writer.close()


async def test_a_client_that_does_not_read_stops_nobody_else(bridge: Bridge) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(1) * 5_000_000)
        await writer.drain()
        writer.close()

    async with await serve(bridge, flood):
        slow = await bridge.open()
        slow[1].write(b"s")
        reader, writer = await bridge.open()
        writer.write(b"f")
        assert len(await reader.read()) == 5_000_000
        assert len(await slow[0].read()) == 5_000_000
        for end in (writer, slow[1]):
            end.close()


async def test_without_a_way_out_connections_end_at_once_and_the_relay_lives(bridge: Bridge) -> None:
    for _ in range(3):
        reader, writer = await bridge.open()
        assert await reader.read() == b""
        writer.close()
    assert alive(bridge.process.pid)


async def test_more_streams_than_it_takes_wait_and_then_pass(bridge: Bridge) -> None:
    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(hello, bridge.path, backlog=1000)
    async with server:
        streams = [await bridge.open() for _ in range(relay.MOST_STREAMS + 20)]
        for reader, writer in streams:
            assert await reader.readexactly(5) == b"hello"
            writer.close()
