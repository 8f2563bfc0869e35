"""Connections to the outside: to the very address that was checked, by TLS that is verified, past the machine's own proxy if it has one."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import httpcore2

from .addresses import Resolve, Unresolved, checked, is_linkable, is_public, resolve

CONNECT_SECONDS = 20.0
READ_SECONDS = 120.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[str, int], Awaitable[Streams]]


async def _connect(address: str, port: int) -> Streams:
    return await asyncio.open_connection(address, port)


class Dialer:
    """``trusted`` are places that the machine itself names, its registries and its proxy: they may have any address.

    ``linked`` are those that a registry's pages name, with that registry: a private one may name private ones, the world's may not.
    """

    def __init__(self, environ: Mapping[str, str], *, resolve: Resolve = resolve, connect: Connect = _connect) -> None:
        self.trusted: set[tuple[str, int]] = set()
        self.linked: dict[tuple[str, int], tuple[str, int]] = {}
        self._environ = environ
        self._resolve, self._connect = resolve, connect
        self._proxies = _proxies(environ)
        self._without_proxy = (
            (environ.get("no_proxy") or environ.get("NO_PROXY") or "").replace(",", " ").lower().split()
        )

    def proxy_for(self, scheme: str, host: str) -> str | None:
        """The machine's own proxy on the way to this host, if any."""
        for name in self._without_proxy:
            bare = name.lstrip("*.").partition(":")[0]
            if name == "*" or host == bare or host.endswith(f".{bare}"):
                return None
        return self._proxies.get(scheme) or self._proxies.get("all")

    async def open(self, host: str, port: int) -> Streams:
        """A connection. Raises Forbidden, Unresolved, OSError, asyncio.TimeoutError."""
        addresses = await self._resolve(host, port)
        if (host, port) not in self.trusted:
            addresses = checked(host, addresses, await self._rule_for(host, port))
        problem: OSError = OSError(f"{host} has no address")
        for address in addresses[:4]:
            try:
                return await asyncio.wait_for(self._connect(address, port), CONNECT_SECONDS)
            except OSError as error:
                problem = error
        raise problem

    async def open_tunnel(self, host: str, port: int) -> Streams:
        """The same, through the machine's proxy where one is set."""
        proxy = self.proxy_for("https" if port == 443 else "http", host)
        if proxy is None:
            return await self.open(host, port)
        await self.check(host, port)
        return await _through(proxy, host, port, self)

    async def check(self, host: str, port: int) -> None:
        """Before a machine's proxy is asked for a name: what this machine can see of it must be public. Raises Forbidden."""
        if (host, port) in self.trusted:
            return
        with contextlib.suppress(Unresolved):
            checked(host, await self._resolve(host, port))

    def trust(self, url: str) -> None:
        self.trusted.add(_place(url))

    def link(self, url: str, registry: str) -> None:
        self.linked[_place(url)] = _place(registry)

    async def _rule_for(self, host: str, port: int) -> Callable[[str], bool]:
        registry = self.linked.get((host, port))
        if registry is None or all(map(is_public, await self._resolve(*registry))):
            return is_public
        return is_linkable

    def another(self) -> Dialer:
        """One that trusts nobody yet."""
        return Dialer(self._environ, resolve=self._resolve, connect=self._connect)


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def _proxies(environ: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for scheme in ("http", "https", "all"):
        # As curl and others: HTTP_PROXY in capitals could be a request's own header in a CGI program, which we are not.
        if url := environ.get(f"{scheme}_proxy") or environ.get(f"{scheme.upper()}_PROXY"):
            found[scheme] = url if "://" in url else f"http://{url}"
    return found


async def _through(proxy: str, host: str, port: int, dialer: Dialer) -> Streams:
    parts = urlsplit(proxy)
    dialer.trust(proxy)
    reader, writer = await dialer.open(parts.hostname or "", parts.port or 80)
    head = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n"
    if parts.username is not None:
        head += f"Proxy-Authorization: {_basic(parts.username, parts.password or '')}\r\n"
    writer.write(head.encode() + b"\r\n")
    try:
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), CONNECT_SECONDS)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        writer.close()
        raise OSError("the machine's proxy did not answer") from error
    if answer.split(b" ", 2)[1:2] != [b"200"]:
        writer.close()
        raise OSError(f"the machine's proxy refused: {answer[:60].decode('ascii', 'replace')}")
    return reader, writer


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()


def tls_context(cafile: str | None = None, *, is_verified: bool = True) -> ssl.SSLContext:
    """The machine's certificates (SSL_CERT_FILE counts), and those of ``cafile``."""
    context = ssl.create_default_context()
    if cafile:
        with contextlib.suppress(OSError):
            context.load_verify_locations(cafile)
    if not is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Stream(httpcore2.AsyncNetworkStream):
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, below: asyncio.StreamWriter | None = None
    ) -> None:
        self._reader, self._writer = reader, writer
        # A writer that is collected closes its transport, which this one's TLS runs over.
        self._below = below

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return await asyncio.wait_for(self._reader.read(max_bytes), timeout)
        except asyncio.TimeoutError as error:
            raise httpcore2.ReadTimeout from error
        except OSError as error:
            raise httpcore2.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._writer.write(buffer)
            await asyncio.wait_for(self._writer.drain(), timeout)
        except asyncio.TimeoutError as error:
            raise httpcore2.WriteTimeout from error
        except OSError as error:
            raise httpcore2.WriteError(str(error)) from error

    async def aclose(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        try:
            reader, writer = await asyncio.wait_for(self._upgraded(ssl_context, server_hostname), timeout)
        except asyncio.TimeoutError as error:
            raise httpcore2.ConnectTimeout from error
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        return _Stream(reader, writer, self._writer)

    async def _upgraded(self, context: ssl.SSLContext, name: str | None) -> Streams:
        """`StreamWriter.start_tls` of Python 3.11, for 3.10 too."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=2**16, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        old: Any = self._writer.transport
        transport = await loop.start_tls(old, protocol, context, server_hostname=name)
        assert transport is not None
        protocol.connection_made(transport)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._writer.get_extra_info("ssl_object")
        return self._reader.at_eof() if info == "is_readable" else None


class Backend(httpcore2.AsyncNetworkBackend):
    """httpcore's connections, made by a Dialer. Raises Forbidden as it is."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            return _Stream(*await self._dialer.open(host, port))
        except asyncio.TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"{host} does not answer") from error
        except (OSError, Unresolved) as error:
            raise httpcore2.ConnectError(str(error)) from error

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Outward:
    """Requests to the outside, over connections that are kept and shared by what their TLS must be."""

    def __init__(self, dialer: Dialer) -> None:
        self.dialer = dialer
        self._pools: dict[tuple[str | None, bool, str | None], httpcore2.AsyncConnectionPool] = {}

    def pool(
        self, url: str, *, cafile: str | None = None, is_verified: bool = True, proxy: str | None = None
    ) -> httpcore2.AsyncConnectionPool:
        parts = urlsplit(url)
        proxy = proxy or self.dialer.proxy_for(parts.scheme, parts.hostname or "")
        key = (cafile, is_verified, proxy)
        if key not in self._pools:
            if proxy is not None:
                self.dialer.trust(proxy)
            self._pools[key] = httpcore2.AsyncConnectionPool(
                ssl_context=tls_context(cafile, is_verified=is_verified),
                proxy=None if proxy is None else _httpcore_proxy(proxy),
                max_connections=64,
                max_keepalive_connections=16,
                keepalive_expiry=30.0,
                network_backend=Backend(self.dialer),
            )
        return self._pools[key]

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()


def _httpcore_proxy(url: str) -> httpcore2.Proxy:
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    auth = None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
    return httpcore2.Proxy(url=place, auth=auth)
