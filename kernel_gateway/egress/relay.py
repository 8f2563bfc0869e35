"""Runs inside the sandbox, by itself: carries bytes between a port of the sandbox's loopback and the socket that leads out.

Everything here is the sandbox's to break or to replace; what may pass is decided at the other end of the socket. Nothing but two
small modules of the standard library is imported: this process lives as long as the kernel.
"""

from __future__ import annotations

import select
import socket

PORT = 3128
SOCKET = "/run/egress/socket"
CHUNK = 65536
MOST_STREAMS = 512


class End:
    """One side of a stream. ``waiting`` is what must still be written to it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.peer: End = self
        self.waiting = b""
        self.has_ended = False
        self.interest = 0


class Relay:
    def __init__(self, port: int, path: str) -> None:
        self.path = path
        self.poll = select.epoll()
        self.ends: dict[int, End] = {}
        self.server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.server.bind(("127.0.0.1", port))
        self.server.listen(128)
        self.server.setblocking(False)
        self.is_accepting = False
        self.accept_again()

    def run(self) -> None:
        while True:
            for fd, events in self.poll.poll():
                if fd == self.server.fileno():
                    self.accept()
                elif fd in self.ends:
                    self.serve(self.ends[fd], events)

    def accept_again(self) -> None:
        if not self.is_accepting and len(self.ends) < 2 * MOST_STREAMS:
            self.poll.register(self.server.fileno(), select.EPOLLIN)
            self.is_accepting = True

    def accept(self) -> None:
        try:
            client = self.server.accept()[0]
        except OSError:
            return
        out = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.setblocking(False)
        out.setblocking(False)
        try:
            out.connect(self.path)
        except OSError:
            client.close()
            out.close()
            return
        first, second = End(client), End(out)
        first.peer, second.peer = second, first
        for end in (first, second):
            self.ends[end.fd] = end
            self.watch(end)
        if len(self.ends) >= 2 * MOST_STREAMS:
            self.poll.unregister(self.server.fileno())
            self.is_accepting = False

    def serve(self, end: End, events: int) -> None:
        try:
            if events & select.EPOLLOUT:
                self.flush(end)
            if events & (select.EPOLLIN | select.EPOLLHUP) and not end.has_ended and not end.peer.waiting:
                self.read(end)
            elif events & select.EPOLLERR:
                raise OSError
        except BlockingIOError:
            pass
        except OSError:
            return self.close(end)
        if end.has_ended and end.peer.has_ended and not end.waiting and not end.peer.waiting:
            return self.close(end)
        self.watch(end)
        return self.watch(end.peer)

    def read(self, end: End) -> None:
        data = end.sock.recv(CHUNK)
        if data:
            end.peer.waiting = data
            self.flush(end.peer)
        else:
            end.has_ended = True
            self.shut(end.peer)

    def flush(self, end: End) -> None:
        try:
            while end.waiting:
                end.waiting = end.waiting[end.sock.send(end.waiting) :]
        except BlockingIOError:
            return
        self.shut(end)

    def shut(self, end: End) -> None:
        """What the other side ended, ends here too once everything is written."""
        if end.peer.has_ended and not end.waiting:
            end.sock.shutdown(socket.SHUT_WR)

    def watch(self, end: End) -> None:
        """A hang-up is always reported, so who is not interested in anything is not asked."""
        interest = 0
        if not end.has_ended and not end.peer.waiting:
            interest |= select.EPOLLIN
        if end.waiting:
            interest |= select.EPOLLOUT
        if interest == end.interest:
            return
        if not end.interest:
            self.poll.register(end.fd, interest)
        elif interest:
            self.poll.modify(end.fd, interest)
        else:
            self.poll.unregister(end.fd)
        end.interest = interest

    def close(self, end: End) -> None:
        for one in (end, end.peer):
            if self.ends.pop(one.fd, None) is not None:
                if one.interest:
                    self.poll.unregister(one.fd)
                one.sock.close()
        self.accept_again()


if __name__ == "__main__":
    Relay(PORT, SOCKET).run()
