"""The line between the proxy and its supervisor: a pair of SOCK_SEQPACKET sockets, one JSON object a packet.

To the proxy: ``rules`` {mode, hosts, denied, is_cut}, ``run`` {run, cell} (null when none runs), ``pypi`` and ``npm`` {upstreams},
``answer`` {id, is_allowed, hosts}. To the supervisor: ``open``, ``progress`` and ``close`` of a request, ``ask``, ``npm``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

import orjson

from ..sandbox.linux import is_readable

PACKET_LIMIT = 200_000
# In one go, so that a flood from one session leaves the loop to others.
_BATCH = 64

Packet = dict[str, Any]


def socket_pair() -> tuple[socket.socket, socket.socket]:
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in pair:
        end.setblocking(False)
    return pair


class Channel:
    """One end. ``on_packet`` gets each packet in order, ``on_end`` is called once when the other side is gone."""

    def __init__(self, end: socket.socket, on_packet: Callable[[Packet], None], on_end: Callable[[], None]) -> None:
        self._socket = end
        self._on_packet, self._on_end = on_packet, on_end
        self._loop = asyncio.get_running_loop()
        self._sending = asyncio.Lock()
        self._is_open = True
        self._loop.add_reader(end.fileno(), self.drain)

    def drain(self) -> None:
        """Take what has arrived. Whoever must act on the newest state calls it first."""
        for _ in range(_BATCH):
            if not self._is_open:
                return
            try:
                data = self._socket.recv(PACKET_LIMIT)
            except BlockingIOError:
                return
            except ConnectionError:
                data = b""
            if not data:
                self.close()
                self._on_end()
                return
            self._on_packet(orjson.loads(data))

    def drain_all(self) -> None:
        """All that the other side, which has ended, said."""
        while self._is_open and is_readable(self._socket.fileno()):
            self.drain()

    async def send(self, packet: Packet) -> None:
        """Waits while the other side does not read. After the end it does nothing."""
        async with self._sending:
            if self._is_open:
                with contextlib.suppress(ConnectionError):
                    await self._loop.sock_sendall(self._socket, orjson.dumps(packet))

    def send_now(self, packet: Packet) -> bool:
        """For the supervisor, which never waits. False when the other side has not read for long."""
        try:
            if self._is_open:
                self._socket.send(orjson.dumps(packet))
        except BlockingIOError:
            return False
        except ConnectionError:
            # Its end is told elsewhere.
            return True
        return True

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
