"""Our own end of a kernel's sockets, against libzmq's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import zmq
from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.supervisor import zmtp


class Heard:
    """What a peer was told; ``more`` waits for so many messages in all."""

    def __init__(self) -> None:
        self.messages: list[list[bytes]] = []
        self.too_large: list[list[bytes]] = []
        self._changed = asyncio.Event()

    def on_frames(self, frames: list[bytes]) -> None:
        self.messages.append(frames)
        self._changed.set()

    def on_too_large(self, frames: list[bytes]) -> None:
        self.too_large.append(frames)
        self._changed.set()

    async def more(self, number: int) -> list[list[bytes]]:
        while len(self.messages) < number:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 20)
        return self.messages


Bind = Callable[[int, str], "zmq.Socket[bytes]"]


@pytest.fixture
def bind(tmp_path: Path) -> Iterator[Bind]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    bound: list[zmq.Socket[bytes]] = []

    def make(kind: int, name: str) -> zmq.Socket[bytes]:
        made = context.socket(kind)
        bound.append(made)
        made.bind(f"ipc://{tmp_path}/{name}")
        return made

    yield make
    for made in bound:
        made.close(linger=0)
    context.term()


@pytest_asyncio.fixture
async def connected(tmp_path: Path) -> AsyncIterator[Callable[..., object]]:
    peers: list[zmtp.Peer] = []

    async def make(kind: str, name: str, identity: bytes = b"") -> tuple[zmtp.Peer, Heard]:
        heard = Heard()
        peer = zmtp.Peer(heard.on_frames, heard.on_too_large, zmtp.ready(kind, identity))
        fd = os.open(tmp_path / name, os.O_PATH)
        await zmtp.connect(fd, peer)
        os.close(fd)
        peers.append(peer)
        return peer, heard

    yield make
    for peer in peers:
        peer.close()


async def test_a_dealer_and_a_router_talk(bind: Bind, connected: Callable[..., object]) -> None:
    router = bind(zmq.ROUTER, "s")
    peer, heard = await connected("DEALER", "s", b"who")  # type: ignore[misc]
    peer.send([b"", b"x" * 300, b"last"])
    assert await asyncio.to_thread(router.recv_multipart) == [b"who", b"", b"x" * 300, b"last"]
    router.send_multipart([b"who", b"y" * 70_000, b""])
    assert await heard.more(1) == [[b"y" * 70_000, b""]]


async def test_a_message_that_is_too_large_is_passed_over_and_the_next_arrives(
    bind: Bind, connected: Callable[..., object]
) -> None:
    router = bind(zmq.ROUTER, "s")
    peer, heard = await connected("DEALER", "s", b"who")  # type: ignore[misc]
    peer.send([b"hello"])
    await asyncio.to_thread(router.recv_multipart)
    router.send_multipart([b"who", b"head", bytes(zmtp.MESSAGE_BYTES), b"tail"])
    router.send_multipart([b"who", *[b""] * (zmtp.MESSAGE_FRAMES + 5)])
    router.send_multipart([b"who", b"next"])
    assert await heard.more(1) == [[b"next"]]
    assert [len(frames) for frames in heard.too_large] == [1, zmtp.MESSAGE_FRAMES]


async def test_a_subscriber_hears_a_publisher_until_that_closes(bind: Bind, connected: Callable[..., object]) -> None:
    publisher = bind(zmq.XPUB, "s")
    peer, heard = await connected("SUB", "s")  # type: ignore[misc]
    peer.send(zmtp.SUBSCRIBE)
    assert await asyncio.to_thread(publisher.recv) == b"\x01"
    for number in range(500):
        publisher.send_multipart([b"topic", str(number).encode()])
    publisher.close(linger=10_000)
    await asyncio.wait_for(peer.ended.wait(), 20)
    assert [m[1] for m in heard.messages] == [str(n).encode() for n in range(500)]


async def test_what_does_not_speak_the_protocol_is_left(tmp_path: Path, connected: Callable[..., object]) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" * 10)
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(serve, tmp_path / "s"):
        peer, heard = await connected("SUB", "s")  # type: ignore[misc]
        await asyncio.wait_for(peer.ended.wait(), 20)
    assert heard.messages == []


class Wire(asyncio.Transport):
    """A transport that only takes."""

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None: ...


@given(st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=4), max_size=5), st.data())
def test_where_the_bytes_are_cut_makes_no_difference(messages: list[list[bytes]], data: st.DataObject) -> None:
    async def read() -> None:
        heard = Heard()
        peer = zmtp.Peer(heard.on_frames, heard.on_too_large, b"")
        peer.connection_made(Wire())
        wire = zmtp._GREETING + zmtp.ready("PUB") + b"".join(zmtp.encode(m) for m in messages)
        while wire:
            cut = data.draw(st.integers(1, 200))
            peer.data_received(wire[:cut])
            wire = wire[cut:]
        assert heard.messages == messages

    asyncio.run(read())


@given(st.binary(max_size=400))
def test_no_bytes_do_harm(noise: bytes) -> None:
    async def read() -> None:
        peer = zmtp.Peer(lambda frames: None, lambda frames: None, b"")
        peer.connection_made(Wire())
        peer.data_received(zmtp._GREETING + noise)
        peer.data_received(noise)

    asyncio.run(read())
