"""The one thing in TLS that is readable: the server name in the client's first message (RFC 8446, RFC 6066)."""

from __future__ import annotations

from collections.abc import Iterator

_HANDSHAKE, _CHANGE_CIPHER_SPEC = 22, 20
_CLIENT_HELLO = 1
_SERVER_NAME = 0
# Encrypted ClientHello, and its forerunner: they hide the true name behind another.
_HIDING = (0xFE0D, 0xFFCE)
HELLO_LIMIT = 64 * 1024
_RECORD_LIMIT = 16384 + 256


class Refused(Exception):
    """The connection must not go on; the text says why."""


class HelloGuard:
    """Feed it what the client sends, before that is passed on.

    The first message must be a ClientHello that names ``host``; so must a second one, which a server can ask for (TLS 1.3,
    HelloRetryRequest). After that the bytes are the client's and the server's own affair.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._held = b""
        self._has_first = False
        self.is_done = False

    def feed(self, data: bytes) -> bytes:
        """The bytes that may be passed on now; b"" while more is needed. Raises Refused."""
        self._held += data
        passed = b""
        while self._held and not self.is_done:
            length = self._next()
            if not length and not self.is_done:
                if len(self._held) > HELLO_LIMIT:
                    raise Refused("the TLS handshake is too long")
                return passed
            passed, self._held = passed + self._held[:length], self._held[length:]
        if self.is_done:
            passed, self._held = passed + self._held, b""
        return passed

    def _next(self) -> int:
        """How many bytes at the beginning are checked; 0 while that cannot be told."""
        if not self._has_first:
            length = self._hello()
            self._has_first = length > 0
            return length
        if len(self._held) < 9:
            # Too short for another hello; any full record is longer, but for a change of cipher.
            return self._short()
        kind, size = self._held[0], int.from_bytes(self._held[3:5], "big")
        if kind == _CHANGE_CIPHER_SPEC and size == 1:
            return 6
        body = int.from_bytes(self._held[6:9], "big")
        if kind == _HANDSHAKE and self._held[5] == _CLIENT_HELLO and body + 4 >= size and body < HELLO_LIMIT:
            length = self._hello()
            self.is_done = length > 0
            return length
        self.is_done = True
        return 0

    def _short(self) -> int:
        if self._held[0] == _CHANGE_CIPHER_SPEC:
            return 6 if len(self._held) >= 6 and self._held[3:5] == b"\0\1" else 0
        self.is_done = self._held[0] != _HANDSHAKE
        return 0

    def _hello(self) -> int:
        found = _handshake_message(self._held)
        if found is None:
            return 0
        message, length = found
        check_hello(message, self._host)
        return length


def check_hello(message: bytes, host: str) -> None:
    """Raises Refused unless this ClientHello names ``host``, once, openly."""
    try:
        extensions = list(_extensions(message))
    except IndexError:
        raise Refused("the TLS ClientHello is malformed") from None
    kinds = [kind for kind, _ in extensions]
    if any(kind in _HIDING for kind in kinds):
        raise Refused("the TLS ClientHello hides its server name (ECH)")
    if kinds.count(_SERVER_NAME) != 1:
        raise Refused("the TLS ClientHello names no server")
    name = _server_name(dict(extensions)[_SERVER_NAME])
    if name != host:
        raise Refused(f"the TLS ClientHello names {name[:253]!r}, not {host!r}")


def _handshake_message(data: bytes) -> tuple[bytes, int] | None:
    """The ClientHello, put together from its records, and how many bytes these take; None when it is not whole yet."""
    message, place = b"", 0
    while len(data) >= place + 5:
        size = int.from_bytes(data[place + 3 : place + 5], "big")
        if data[place] != _HANDSHAKE or data[place + 1] != 3 or not 0 < size <= _RECORD_LIMIT:
            raise Refused("the tunnel does not begin with TLS")
        if len(data) < place + 5 + size:
            break
        message += data[place + 5 : place + 5 + size]
        place += 5 + size
        if message[0] != _CLIENT_HELLO:
            raise Refused("the tunnel does not begin with a TLS ClientHello")
        if len(message) >= 4:
            whole = 4 + int.from_bytes(message[1:4], "big")
            if len(message) == whole:
                return message[4:], place
            if len(message) > whole:
                raise Refused("the TLS ClientHello does not end with its record")
    if data and data[0] != _HANDSHAKE:
        raise Refused("the tunnel does not begin with TLS")
    return None


class _Reader:
    """Takes length-prefixed fields. Raises IndexError past the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def take(self, count: int) -> bytes:
        if self._place + count > len(self._data):
            raise IndexError
        self._place += count
        return self._data[self._place - count : self._place]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def field(self, size: int) -> bytes:
        return self.take(self.number(size))

    @property
    def is_empty(self) -> bool:
        return self._place == len(self._data)


def _extensions(hello: bytes) -> Iterator[tuple[int, bytes]]:
    reader = _Reader(hello)
    reader.take(2 + 32)
    for size in (1, 2, 1):
        # Session id, cipher suites, compression methods.
        reader.field(size)
    if reader.is_empty:
        return
    extensions = _Reader(reader.field(2))
    if not reader.is_empty:
        raise IndexError
    while not extensions.is_empty:
        kind = extensions.number(2)
        yield kind, extensions.field(2)


def _server_name(extension: bytes) -> str:
    try:
        outer = _Reader(extension)
        names = _Reader(outer.field(2))
        kind, name = names.number(1), names.field(2)
        if kind != 0 or not names.is_empty or not outer.is_empty:
            raise IndexError
        return name.decode("ascii")
    except (IndexError, UnicodeDecodeError):
        raise Refused("the server name of the TLS ClientHello is malformed") from None
