"""Our side of a kernel's ZMQ socket, spoken by hand: a hostile kernel decides neither how much we hold nor where we connect.

libzmq reads ahead into queues that are bounded by number and not by bytes, and drops the connection, with all that is on its way, when a
message is too large. Here each message is handled as it is read, so what we do not read waits in the kernel's own memory; of one that
is too large the content is passed over, and the next one is whole again. No reconnecting.

ZMTP 3.0, mechanism NULL: https://rfc.zeromq.org/spec/23/
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

# Of a larger message only the beginning is kept: the bytes of all its frames, and their number.
MESSAGE_BYTES = 24 * 1024**2
MESSAGE_FRAMES = 1000
# What a kernel that does not read may leave unsent; what comes on top is lost, as for a peer that is gone.
UNSENT_BYTES = 64 * 1024**2

_MORE, _LONG, _COMMAND = 1, 2, 4
# Asks a publisher for everything.
SUBSCRIBE = (b"\x01",)
_GREETING_BYTES = 64
_MECHANISM = slice(12, 32)
_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_HEADER_BYTES = 9


@dataclass
class _Incoming:
    """A message that is being read. ``too_large`` is set once something of it was passed over."""

    frames: list[bytes] = field(default_factory=list[bytes])
    size: int = 0
    too_large: bool = False


class Peer(asyncio.Protocol):
    """One connection. ``on_frames`` gets each whole message, ``on_too_large`` the frames before the one that was passed over."""

    def __init__(
        self, on_frames: Callable[[list[bytes]], None], on_too_large: Callable[[list[bytes]], None], hello: bytes
    ) -> None:
        # Set when the other side has closed and all that it sent was handled.
        self.ended = asyncio.Event()
        self._on_frames, self._on_too_large, self._hello = on_frames, on_too_large, hello
        self._transport: asyncio.Transport | None = None
        # Until the other side is ready: libzmq takes a message before that for an error.
        self._unsent: list[bytes] | None = []
        self._greeted = False
        self._buffer = bytearray()
        self._message = _Incoming()
        # The frame whose body is being read: its flags, the bytes still to come, and its body unless it is passed over.
        self._flags, self._left = 0, 0
        self._body: bytearray | None = None
        self._in_body = False

    # Sending

    def send(self, frames: Sequence[bytes]) -> None:
        """Never blocks. What a kernel does not read beyond `UNSENT_BYTES` is lost."""
        if self._unsent is not None:
            self._unsent.append(encode(frames))
        elif self._transport is not None and self._transport.get_write_buffer_size() < UNSENT_BYTES:
            self._transport.write(encode(frames))

    def close(self) -> None:
        """Nothing is handled any more."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(_GREETING + self._hello)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.ended.set()

    def data_received(self, data: bytes) -> None:
        view = memoryview(data)
        while view and self._transport is not None:
            view = view[self._take(view) :]

    # Reading: each step uses up some of what has arrived and says how many bytes

    def _take(self, view: memoryview) -> int:
        if not self._greeted:
            return self._take_greeting(view)
        return self._take_body(view) if self._in_body else self._take_header(view)

    def _take_greeting(self, view: memoryview) -> int:
        used = min(len(view), _GREETING_BYTES - len(self._buffer))
        self._buffer += view[:used]
        if len(self._buffer) == _GREETING_BYTES:
            greeting, self._greeted = bytes(self._buffer), True
            self._buffer.clear()
            is_zmtp = greeting[0] == 0xFF and greeting[9] == 0x7F and greeting[10] >= 3
            if not is_zmtp or greeting[_MECHANISM].rstrip(b"\0") != b"NULL":
                self.close()
        return used

    def _take_header(self, view: memoryview) -> int:
        flags = self._buffer[0] if self._buffer else view[0]
        used = min(len(view), (_HEADER_BYTES if flags & _LONG else 2) - len(self._buffer))
        self._buffer += view[:used]
        if len(self._buffer) == (_HEADER_BYTES if flags & _LONG else 2):
            size = int.from_bytes(self._buffer[1:], "big")
            self._buffer.clear()
            self._begin_body(flags, size)
        return used

    def _begin_body(self, flags: int, size: int) -> None:
        self._flags, self._left, self._in_body = flags, size, True
        message = self._message
        if not flags & _COMMAND:
            message.size += size
            message.too_large |= message.size > MESSAGE_BYTES or len(message.frames) >= MESSAGE_FRAMES
        self._body = None if flags & _COMMAND or message.too_large else bytearray()
        if size == 0:
            self._end_body()

    def _take_body(self, view: memoryview) -> int:
        used = min(len(view), self._left)
        if self._body is not None:
            self._body += view[:used]
        self._left -= used
        if self._left == 0:
            self._end_body()
        return used

    def _end_body(self) -> None:
        self._in_body = False
        body, self._body = self._body, None
        if self._flags & _COMMAND:
            return self._on_command()
        if body is not None:
            self._message.frames.append(bytes(body))
            del body
        if not self._flags & _MORE:
            message, self._message = self._message, _Incoming()
            (self._on_too_large if message.too_large else self._on_frames)(message.frames)
        return None

    def _on_command(self) -> None:
        """The first one is READY, or an error after which the other side closes."""
        if self._unsent is not None and self._transport is not None:
            self._transport.write(b"".join(self._unsent))
            self._unsent = None


def encode(frames: Sequence[bytes]) -> bytes:
    """One message as it goes over the wire."""
    parts: list[bytes] = []
    for number, frame in enumerate(frames, 1):
        flags = _MORE if number < len(frames) else 0
        parts += [_header(flags, len(frame)), frame]
    return b"".join(parts)


def _header(flags: int, size: int) -> bytes:
    return bytes((flags, size)) if size < 256 else bytes((flags | _LONG,)) + size.to_bytes(8, "big")


def ready(kind: str, identity: bytes = b"") -> bytes:
    """The command that ends our part of the handshake."""
    properties = b"\x05READY"
    for name, value in (("Socket-Type", kind.encode()), ("Identity", identity)):
        properties += bytes((len(name),)) + name.encode() + len(value).to_bytes(4, "big") + value
    return _header(_COMMAND, len(properties)) + properties


async def connect(socket_fd: int, peer: Peer) -> None:
    """Connect to the socket that this O_PATH descriptor holds: whatever lies at its name meanwhile is not looked at. Raises OSError."""
    ours = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        ours.connect(f"/proc/self/fd/{socket_fd}")
        await asyncio.get_running_loop().create_connection(lambda: peer, sock=ours)
    except BaseException:
        ours.close()
        raise
