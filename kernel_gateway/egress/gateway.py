"""A host as a gateway: plain HTTP from the sandbox, TLS from here on, secret headers added between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import h11
import httpcore2

from .exchange import Exchange, Headers
from .hosts import HostRule
from .outward import CONNECT_SECONDS, READ_SECONDS, Outward
from .registries import UpstreamFailed
from .rules import Wanted

# Of one connection only (RFC 9110), or between a client and its proxy.
_HOP_BY_HOP = frozenset(
    b"""connection proxy-connection keep-alive te trailer transfer-encoding upgrade proxy-authenticate proxy-authorization
    expect""".split()
)
# A key that code inside sends is never ours: it would make an allowed host a way out to somebody else's account.
STRIPPED = frozenset(b"authorization cookie x-api-key api-key x-goog-api-key x-auth-token private-token".split())
_TIMEOUT = {"timeout": {"connect": CONNECT_SECONDS, "read": READ_SECONDS, "write": READ_SECONDS, "pool": READ_SECONDS}}


async def serve(exchange: Exchange, request: h11.Request, wanted: Wanted, rule: HostRule, outward: Outward) -> int:
    """Forward one request; returns the status. Raises UpstreamFailed, Forbidden before anything was answered."""
    url = f"https://{wanted.host}{wanted.target}"
    if outward.dialer.proxy_for("https", wanted.host) is not None:
        await outward.dialer.check(wanted.host, 443)
    headers = outgoing(list(request.headers), wanted, rule)
    body = exchange.body() if wanted.has_body else None
    try:
        pool = outward.pool(url)
        async with pool.stream(
            bytes(request.method), url, headers=headers, content=body, extensions=_TIMEOUT
        ) as response:
            await exchange.respond(response.status, incoming(response.headers, wanted.host))
            if request.method != b"HEAD":
                await _copy(response.aiter_stream(), exchange)
            await exchange.end()
            return response.status
    except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, httpcore2.ProxyError) as error:
        raise UpstreamFailed(f"{wanted.host} does not answer: {error or type(error).__name__}") from error


async def _copy(chunks: AsyncIterator[bytes], exchange: Exchange) -> None:
    async for chunk in chunks:
        await exchange.data(chunk)


def outgoing(headers: Sequence[tuple[bytes, bytes]], wanted: Wanted, rule: HostRule) -> list[tuple[bytes, bytes]]:
    """What the host gets: the sandbox's headers less keys and what belongs to one connection, and the secret ones."""
    secret = {name.lower().encode() for name in rule.headers}
    dropped = _HOP_BY_HOP | STRIPPED | secret | _named(headers) | {b"host", b"forwarded", b"via"}
    kept = [(name, value) for name, value in headers if name not in dropped and not name.startswith(b"x-forwarded-")]
    framed = [(b"transfer-encoding", b"chunked")] if wanted.has_body and not _has_length(kept) else []
    return [
        (b"host", wanted.host.encode()),
        *kept,
        *framed,
        *((name.encode(), value.encode()) for name, value in rule.headers.items()),
    ]


def incoming(headers: Sequence[tuple[bytes, bytes]], host: str) -> Headers:
    """What the sandbox gets; a redirect to the same host stays on the way through the gateway."""
    lowered = [(name.lower(), value) for name, value in headers]
    dropped = _HOP_BY_HOP | _named(lowered) | {b"strict-transport-security", b"alt-svc"}
    secure, plain = f"https://{host}/".encode(), f"http://{host}/".encode()
    return [
        (name, plain + value[len(secure) :] if name == b"location" and value.startswith(secure) else value)
        for name, value in lowered
        if name not in dropped
    ]


def _named(headers: Sequence[tuple[bytes, bytes]]) -> set[bytes]:
    """Headers that a Connection header makes hop-by-hop."""
    return {
        part.strip().lower() for name, value in headers if name == b"connection" for part in bytes(value).split(b",")
    }


def _has_length(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return any(name == b"content-length" for name, _ in headers)
