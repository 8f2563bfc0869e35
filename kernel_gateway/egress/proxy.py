"""The way out of one session: ``python -m kernel_gateway.egress.proxy --listen FD --control FD``, started by its supervisor.

What comes in was written by code that nobody trusts; what may go out is decided request by request, by rules that come over the
control socket. When that socket closes, the proxy ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import secrets
import socket
import sys
from collections.abc import Mapping
from typing import Any

import h11

from . import gateway
from .addresses import Forbidden, Unresolved
from .audit import Entry
from .channel import Channel, Packet
from .exchange import Exchange
from .hello import Refused
from .hosts import HostRule
from .outward import Dialer, Outward
from .registries import NotServed, Registries, UpstreamFailed
from .rules import Decision, Malformed, Rules, Wanted, decide, is_plain, parse, question_key
from .tunnel import Tunnel
from .upstreams import Npm, Upstream

MOST_CONNECTIONS = 128
MOST_QUESTIONS = 8
PROGRESS_SECONDS = 1.0
# Then it ends; the next connection starts another.
UNUSED_SECONDS = 600.0
MEMORY_BYTES = 2 * 1024**3
NOBODY = 65534


class Proxy:
    """Serves connections of one session. Tests give it a ``dialer`` of their own; nothing else can."""

    def __init__(self, control: socket.socket, environ: Mapping[str, str], dialer: Dialer | None = None) -> None:
        self.outward = Outward(dialer or Dialer(environ))
        # What registries may reach, hosts may not.
        self.registries = Registries(Outward(self.outward.dialer.another()), secrets.token_bytes(32))
        self.ended = asyncio.Event()
        self._rules = Rules()
        self._run: Packet = {}
        self._channel = Channel(control, self._on_packet, self.ended.set)
        self._connections: set[asyncio.Task[Any]] = set()
        self._number = 0
        self._active: dict[int, tuple[Entry, Exchange]] = {}
        self._reported: dict[int, tuple[int, int]] = {}
        # Requests that wait for a person, by what is asked.
        self._questions: dict[tuple[str, str], asyncio.Future[Packet]] = {}
        self._asked_npm: asyncio.Future[None] | None = None
        self._handlers = {
            "rules": self._on_rules,
            "run": self._on_run,
            "pypi": self._on_pypi,
            "npm": self._on_npm,
            "answer": self._on_answer,
        }

    async def serve(self, listening: socket.socket) -> None:
        """Until the supervisor is gone."""
        self._channel.drain()
        server = await asyncio.start_unix_server(self._on_connection, sock=listening, limit=64 * 1024)
        telling = asyncio.create_task(self._tell_progress())
        await self.ended.wait()
        telling.cancel()
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(telling, *self._connections, return_exceptions=True)
        await self.outward.close()
        await self.registries.close()

    # The supervisor

    def _on_packet(self, packet: Packet) -> None:
        self._handlers[packet["op"]](packet)

    def _on_rules(self, packet: Packet) -> None:
        hosts = tuple(HostRule.from_json(h) for h in packet["hosts"])
        denied = frozenset((host, key) for host, key in packet["denied"])
        self._rules = Rules(packet["mode"], hosts, denied, packet["is_cut"])

    def _on_run(self, packet: Packet) -> None:
        self._run = packet

    def _on_pypi(self, packet: Packet) -> None:
        self.registries.pypi = [Upstream(**u) for u in packet["upstreams"]]
        self.registries.trust()

    def _on_npm(self, packet: Packet) -> None:
        self.registries.npm = Npm.from_json(packet["upstreams"]) if packet["upstreams"] else None
        self.registries.trust()
        if self._asked_npm is not None and not self._asked_npm.done():
            self._asked_npm.set_result(None)

    def _on_answer(self, packet: Packet) -> None:
        future = self._questions.pop((packet["host"], packet["key"]), None)
        if future is not None and not future.done():
            future.set_result(packet)

    async def _tell_progress(self) -> None:
        """So that the audit of a tunnel that is cut is right to the second. Also ends a proxy that nobody needs any more."""
        loop = asyncio.get_running_loop()
        last_used = loop.time()
        while not self.ended.is_set():
            await asyncio.sleep(PROGRESS_SECONDS)
            last_used = loop.time() if self._connections else last_used
            if loop.time() - last_used > UNUSED_SECONDS:
                self.ended.set()
            for number, (entry, exchange) in list(self._active.items()):
                _count(entry, exchange)
                if self._reported.get(number) != (entry.up, entry.down):
                    self._reported[number] = (entry.up, entry.down)
                    await self._progress(number, entry)

    async def _progress(self, number: int, entry: Entry) -> None:
        known = {k: v for k, v in entry.to_json().items() if k in ("up", "down", "host", "path")}
        await self._channel.send({"op": "progress", "id": number, "line": known})

    # Connections

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        exchange = Exchange(reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if len(self._connections) > MOST_CONNECTIONS:
                writer.write(b"HTTP/1.1 503 Too many connections\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            while await self._one(exchange):
                pass
        except asyncio.CancelledError:
            # Only at our own end; asyncio's streams log a connection that is cancelled as a fault.
            pass
        except (OSError, asyncio.TimeoutError, h11.LocalProtocolError, h11.RemoteProtocolError):
            # The client is gone, silent or does not keep to HTTP; what it had asked for is in the audit.
            pass
        finally:
            self._connections.discard(task)
            await exchange.close()

    async def _one(self, exchange: Exchange) -> bool:
        """One request, from its head to its audit line. Whether another may follow."""
        entry = Entry("", "", "", "", verdict="deny")
        try:
            request = await exchange.request()
            if request is None:
                return False
            self._stamp(entry)
            method, target, host = bytes(request.method), bytes(request.target), _host_header(request)
            wanted = parse(method, target, host, has_body=_has_body(request), inside=exchange.inside)
        except h11.RemoteProtocolError as error:
            self._stamp(entry)
            entry.rule = "not a valid HTTP request"
            await self._refuse(exchange, entry, error.error_status_hint, "Send an ordinary HTTP/1.1 request.")
            return False
        except Malformed as error:
            entry.method, entry.path, entry.rule = error.method, error.shown, error.rule
            await self._refuse(exchange, entry, 403, "Send an ordinary request to a name that is allowed.")
            return False
        entry.host, entry.method, entry.path, entry.mode = wanted.host, wanted.method, wanted.path, wanted.kind
        entry.query_bytes = len(wanted.query)
        entry.port = None if wanted.kind == "registry" else wanted.port
        if is_plain(self._rules, wanted):
            inner = Exchange(exchange.reader, exchange.writer, wanted.host, await exchange.switch())
            while await self._one(inner):
                pass
            return False
        decision = await self._decided(wanted, entry)
        if decision.verdict != "allow":
            await self._refuse(exchange, entry, 403, decision.next_step)
            return False
        entry.verdict = "allow"
        return await self._pass(exchange, request, wanted, decision, entry)

    def _stamp(self, entry: Entry) -> None:
        """Rules and run as they are now: the supervisor wrote them before the kernel was told to run anything."""
        self._channel.drain()
        entry.run, entry.after, entry.cell = self._run.get("run"), self._run.get("after"), self._run.get("cell")

    async def _decided(self, wanted: Wanted, entry: Entry) -> Decision:
        decision = decide(self._rules, wanted)
        if decision.verdict == "ask":
            answer = await self._ask(wanted)
            entry.by = answer.get("by")
            self._channel.drain()
            decision = decide(self._rules, wanted)
        if decision.verdict == "ask":
            decision = Decision("deny", "ask: no person allowed it", "Tell the person what it is for and try again.")
        entry.rule = decision.rule
        return decision

    async def _ask(self, wanted: Wanted) -> Packet:
        """The request waits; others for the same share the question."""
        place = (wanted.host, question_key(wanted))
        if place not in self._questions:
            if len(self._questions) >= MOST_QUESTIONS:
                return {}
            self._questions[place] = asyncio.get_running_loop().create_future()
            packet = {"op": "ask", "host": wanted.host, "key": place[1], "method": wanted.method, "path": wanted.path}
            await self._channel.send({**packet, "run": self._run.get("run"), "cell": self._run.get("cell")})
        return await asyncio.shield(self._questions[place])

    async def _refuse(self, exchange: Exchange, entry: Entry, status: int, next_step: str) -> None:
        """The model reads it: what was refused, by which rule, and what to do. In a header too: of a CONNECT, clients show nothing else."""
        entry.status = status
        await self._channel.send({"op": "close", "id": None, "line": entry.to_json()})
        host = "" if entry.mode == "registry" else entry.host
        shown = f"{entry.method} {host}{entry.path}".strip()[:300]
        text = f"Refused by this sandbox's network rules.\nrequest: {shown}\nrule: {entry.rule}\nnext: {next_step}\n"
        header = f"{entry.rule}. {next_step}".encode("ascii", "replace")[:900]
        headers = [(b"x-cell-gateway-denied", header)]
        await exchange.answer(status, text, headers, method=entry.method, reason=f"Denied: {entry.rule}")

    async def _pass(
        self, exchange: Exchange, request: h11.Request, wanted: Wanted, decision: Decision, entry: Entry
    ) -> bool:
        self._number += 1
        number = self._number
        await self._channel.send({"op": "open", "id": number, "line": entry.to_json()})
        self._active[number] = (entry, exchange)

        async def on_reached(host: str, path: str) -> None:
            entry.host, entry.path = host, path
            await self._progress(number, entry)

        exchange.on_reached = on_reached
        try:
            entry.status = await self._act(exchange, request, wanted, decision, entry)
        except (Forbidden, Refused) as error:
            entry.verdict, entry.status, entry.rule = "deny", 403, str(error)
            await self._complain(exchange, entry, "It is not allowed, whoever asks.")
        except NotServed as error:
            entry.status, entry.rule = 404, str(error)
            await self._complain(exchange, entry, "Check the name.")
        except (UpstreamFailed, Unresolved, OSError, asyncio.TimeoutError) as error:
            entry.status, entry.rule = 502, str(error) or type(error).__name__
            await self._complain(exchange, entry, "It may be a passing fault; try again later.")
        finally:
            del self._active[number]
            self._reported.pop(number, None)
            _count(entry, exchange)
            entry.sha256 = exchange.sha256
            await asyncio.shield(self._channel.send({"op": "close", "id": number, "line": entry.to_json()}))
        return wanted.kind != "tunnel" and exchange.next_cycle()

    async def _complain(self, exchange: Exchange, entry: Entry, next_step: str) -> None:
        """Only where nothing was answered yet; else the connection just ends."""
        if not exchange.has_answered:
            header = [(b"x-cell-gateway-denied", entry.rule.encode("ascii", "replace")[:900])]
            text = f"{entry.rule}\nnext: {next_step}\n"
            await exchange.answer(
                entry.status or 502, text, header if entry.verdict == "deny" else [], method=entry.method
            )

    async def _act(
        self, exchange: Exchange, request: h11.Request, wanted: Wanted, decision: Decision, entry: Entry
    ) -> int:
        if wanted.kind == "registry":
            if wanted.path.startswith("/npm/"):
                await self._need_npm()
            return await self.registries.serve(exchange, request, wanted.path)
        assert decision.host is not None
        if wanted.kind == "gateway":
            return await gateway.serve(exchange, request, wanted, decision.host, self.outward)
        return await self._tunnel(exchange, wanted, entry)

    async def _tunnel(self, exchange: Exchange, wanted: Wanted, entry: Entry) -> int:
        outside = await self.outward.dialer.open_tunnel(wanted.host, wanted.port)
        try:
            early = await exchange.switch()
            tunnel = Tunnel((exchange.reader, exchange.writer), outside, wanted.host, wanted.port)

            def count() -> None:
                entry.up, entry.down = tunnel.up, tunnel.down

            tunnel.on_bytes = count
            await tunnel.run(early)
            return 200
        finally:
            outside[1].close()

    async def _need_npm(self) -> None:
        """npm takes half a second to say where its packages come from, so it is asked when it matters."""
        if self._asked_npm is None:
            self._asked_npm = asyncio.get_running_loop().create_future()
            await self._channel.send({"op": "npm"})
        await asyncio.shield(self._asked_npm)


def _count(entry: Entry, exchange: Exchange) -> None:
    """A tunnel counts for itself."""
    if entry.mode != "tunnel":
        entry.up, entry.down = exchange.up, exchange.down


def _host_header(request: h11.Request) -> str | None:
    return next((bytes(value).decode("latin-1") for name, value in request.headers if name == b"host"), None)


def _has_body(request: h11.Request) -> bool:
    """Raises Malformed for a length that can be read in two ways (request smuggling)."""
    names = [bytes(name) for name, _ in request.headers]
    lengths = [bytes(value) for name, value in request.headers if name == b"content-length"]
    if b"transfer-encoding" in names and (lengths or request.http_version != b"1.1"):
        raise Malformed("a request has one length, not two", bytes(request.method).decode("ascii", "replace"))
    return b"transfer-encoding" in names or any(value.strip(b"0") for value in lengths)


def limit_ourselves() -> None:
    """Whatever a sandbox sends, the rest of the machine does not notice."""
    for kind, wanted in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_NOFILE, 1024),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 64 * 1024**2),
    ):
        hard = resource.getrlimit(kind)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))


async def _warm_up() -> None:
    """All that is imported late is imported now: a process without rights may not read our own code any more."""

    import httpcore2

    answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
    async with httpcore2.AsyncConnectionPool(network_backend=httpcore2.AsyncMockBackend(answer)) as pool:
        await pool.request("GET", "http://warm.invalid/")
    await asyncio.to_thread(socket.getaddrinfo, "127.0.0.1", 80)


def drop_rights() -> None:
    """Root's proxy becomes nobody: it needs no file and no right of the machine."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


async def run(listening: socket.socket, control: socket.socket) -> None:
    proxy = Proxy(control, os.environ)
    await _warm_up()
    drop_rights()
    await proxy.serve(listening)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--control", type=int, required=True)
    arguments = parser.parse_args()
    limit_ourselves()
    listening, control = socket.socket(fileno=arguments.listen), socket.socket(fileno=arguments.control)
    for sock in (listening, control):
        sock.setblocking(False)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(listening, control))
    return 0


if __name__ == "__main__":
    sys.exit(main())
