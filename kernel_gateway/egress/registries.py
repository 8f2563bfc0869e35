"""PyPI and npm for reading only: pages whose links lead back here, and exactly the files that these pages named."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import re
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urljoin, urlsplit

import h11
import httpcore2

from . import pages
from .exchange import CHUNK, Exchange
from .outward import CONNECT_SECONDS, READ_SECONDS, Outward
from .pages import FileLink
from .relay import PORT
from .upstreams import Npm, Upstream, origin_of

PAGE_LIMIT = 64 * 1024 * 1024
FILE_LIMIT = 4 * 1024 * 1024 * 1024
REDIRECTS = 5
_OURSELVES = f"http://127.0.0.1:{PORT}"
_RANGE = re.compile(r"bytes=(?:\d{1,15}-\d{0,15}|-\d{1,15})")
_KEPT = (b"content-type", b"content-length", b"content-range", b"accept-ranges", b"last-modified")
_AGENT = (b"User-Agent", b"cell-gateway")
_TIMEOUT = {"timeout": {"connect": CONNECT_SECONDS, "read": READ_SECONDS, "write": READ_SECONDS, "pool": READ_SECONDS}}


class NotServed(Exception):
    """404: nothing here, or no project of that name."""


class UpstreamFailed(Exception):
    """502: a registry did not answer as one."""


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: dict[bytes, bytes]
    url: str
    response: httpcore2.Response


class Registries:
    """Serves ``/pypi/simple/NAME/``, ``/npm/NAME`` and the files they link to. The caller has checked the method and the sizes."""

    def __init__(self, outward: Outward, key: bytes) -> None:
        self.pypi: Sequence[Upstream] = ()
        self.npm: Npm | None = None
        self._outward, self._key = outward, key

    def trust(self) -> None:
        """The registries' own machines may have private addresses: this machine's settings name them."""
        npm = [] if self.npm is None else [self.npm.default, *self.npm.scopes.values()]
        for upstream in [*self.pypi, *npm]:
            if upstream.url.startswith("http"):
                self._outward.dialer.trust(upstream.url)

    async def close(self) -> None:
        await self._outward.close()

    async def serve(self, exchange: Exchange, request: h11.Request, path: str) -> int:
        """Answer the request; returns the status. Raises NotServed, UpstreamFailed, Forbidden before anything was answered."""
        place, _, rest = path.removeprefix("/").partition("/")
        if rest.startswith("files/"):
            return await self._serve_file(exchange, request, place, rest.removeprefix("files/"))
        if place == "pypi" and (match := re.fullmatch(r"simple/([A-Za-z0-9._-]{1,100})/?", rest)):
            return await self._serve_project(exchange, request, match[1])
        if place == "npm":
            return await self._serve_npm(exchange, request, unquote(rest))
        raise NotServed("There is nothing at this address.")

    # PyPI

    async def _serve_project(self, exchange: Exchange, request: h11.Request, name: str) -> int:
        project = re.sub(r"[-_.]+", "-", name).lower()
        if not pages.PYTHON_NAME.fullmatch(project):
            raise NotServed(f"{name!r} is no name of a project.")
        await exchange.reached(", ".join(filter(None, (_host(u.url) for u in self.pypi))), f"/{project}/")
        found = await asyncio.gather(*(self._project(upstream, project) for upstream in self.pypi))
        links = [link for page in found if page is not None for link in page]
        if all(page is None for page in found):
            raise NotServed(f"No index has a project {project}.")
        as_json = pages.JSON_TYPE.encode() in _header(request, b"accept")
        body = pages.write_simple(project, links, lambda url: self._signed("pypi", url), as_json=as_json)
        kind = pages.JSON_TYPE if as_json else pages.HTML_TYPE
        return await _whole(exchange, request, body, kind)

    async def _project(self, upstream: Upstream, project: str) -> list[FileLink] | None:
        """The files of one index; None when it has none of that name."""
        url = urljoin(upstream.url, f"{project}/")
        if url.startswith("file:"):
            return await asyncio.to_thread(_local_project, url)
        headers = [(b"Accept", f"{pages.JSON_TYPE}, {pages.HTML_TYPE};q=0.5".encode())]
        async with self._get(url, upstream, headers) as answer:
            if answer.status in (403, 404, 410):
                return None
            body = await _body(answer)
            kind = answer.headers.get(b"content-type", b"text/html").decode("latin-1")
        links = pages.read_simple(body, kind, answer.url)
        return [link for link in links if link.url.startswith(("http://", "https://"))]

    # npm

    async def _serve_npm(self, exchange: Exchange, request: h11.Request, path: str) -> int:
        if self.npm is None:
            raise UpstreamFailed("This machine's npm did not say which registry it uses.")
        name, separator, file = path.partition("/-/")
        if not pages.NPM_NAME.fullmatch(name) or (separator and not pages.TARBALL.fullmatch(file)):
            raise NotServed(f"{path[:200]!r} is no name of a package.")
        upstream = self.npm.for_package(name)
        place = urljoin(upstream.url, name.replace("/", "%2f"))
        if separator:
            return await self._relay(exchange, request, urljoin(upstream.url, f"{name}/-/{file}"), upstream)
        await exchange.reached(_host(upstream.url), f"/{name}")
        accept = pages.ABBREVIATED if pages.ABBREVIATED.encode() in _header(request, b"accept") else "application/json"
        async with self._get(place, upstream, [(b"Accept", accept.encode())]) as answer:
            if answer.status in (403, 404, 405):
                raise NotServed(f"The registry has no package {name}.")
            body = pages.rewrite_npm(await _body(answer), lambda url: self._tarball(upstream, name, url))
        return await _whole(exchange, request, body, accept)

    def _tarball(self, upstream: Upstream, name: str, url: str) -> str:
        """The form that npm itself makes of a lock file's address, where the registry keeps to it."""
        usual = urljoin(upstream.url, f"{name}/-/")
        file = url.removeprefix(usual)
        if file != url and pages.TARBALL.fullmatch(file):
            return f"{_OURSELVES}/npm/{name}/-/{file}"
        return self._signed("npm", url)

    # Files

    def _signed(self, kind: str, url: str) -> str:
        """An address here that stands for ``url``. Nobody else can make one, so only what a registry named can be asked for."""
        packed = base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
        return f"{_OURSELVES}/{kind}/files/{self._signature(kind + packed)}/{packed}/{quote(_name(url))}"

    def _signature(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:32]

    async def _serve_file(self, exchange: Exchange, request: h11.Request, kind: str, rest: str) -> int:
        signature, _, tail = rest.partition("/")
        packed, _, name = tail.partition("/")
        if not hmac.compare_digest(signature.encode(), self._signature(kind + packed).encode()):
            raise NotServed("No page of a registry named this file in this session; ask for the page again.")
        try:
            url = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode()
        except (binascii.Error, ValueError):
            raise NotServed("There is nothing at this address.") from None
        parts = urlsplit(url)
        if unquote(name) == _name(url) + ".metadata":
            url = parts._replace(path=parts.path + ".metadata").geturl()
        elif unquote(name) != _name(url):
            raise NotServed("There is nothing at this address.")
        if url.startswith("file:"):
            await exchange.reached("this machine", f"/{unquote(name)}")
            return await _serve_local(exchange, request, _local_path(url))
        return await self._relay(exchange, request, url, self._upstream_of(kind, url))

    async def _relay(self, exchange: Exchange, request: h11.Request, url: str, upstream: Upstream) -> int:
        await exchange.reached(_host(url), urlsplit(url).path)
        wanted = _header(request, b"range").decode("latin-1")
        headers = [(b"Range", wanted.encode())] if _RANGE.fullmatch(wanted) else []
        async with self._get(url, upstream, headers, method=bytes(request.method)) as answer:
            if answer.status not in (200, 206, 416):
                raise NotServed(f"The registry answered {answer.status} for this file.")
            if int(answer.headers.get(b"content-length", b"0")) > FILE_LIMIT:
                raise UpstreamFailed(f"The file is larger than {FILE_LIMIT:,} bytes.")
            await exchange.respond(answer.status, [(k, answer.headers[k]) for k in _KEPT if k in answer.headers])
            seen = hashlib.sha256()
            if request.method != b"HEAD":
                async for chunk in _limited(answer, FILE_LIMIT):
                    seen.update(chunk)
                    await exchange.data(chunk)
                if answer.status == 200:
                    exchange.sha256 = seen.hexdigest()
            await exchange.end()
        return answer.status

    def _upstream_of(self, kind: str, url: str) -> Upstream:
        """The registry whose credentials and certificates a file's address gets: one of the same origin, else none."""
        npm = [] if self.npm is None else [self.npm.default, *self.npm.scopes.values()]
        known = self.pypi if kind == "pypi" else npm
        own = next((u for u in known if u.origin == origin_of(url)), None)
        web = [u for u in known if u.url.startswith("http")]
        # Credentials go by origin, so a file elsewhere gets none of them.
        return own or (web[0] if web else Upstream(url))

    @asynccontextmanager
    async def _get(
        self, url: str, upstream: Upstream, headers: list[tuple[bytes, bytes]], *, method: bytes = b"GET"
    ) -> AsyncGenerator[_Answer]:
        """Follows redirects; credentials go to the registry's own origin only. Raises UpstreamFailed."""
        try:
            for _ in range(REDIRECTS):
                own = origin_of(url) == upstream.origin
                sent = [(b"Host", urlsplit(url).netloc.encode()), _AGENT, (b"Accept-Encoding", b"identity"), *headers]
                self._outward.dialer.link(url, upstream.url)
                if own and upstream.authorization:
                    sent.append((b"Authorization", upstream.authorization.encode()))
                pool = self._outward.pool(
                    url, cafile=upstream.cafile, is_verified=upstream.is_verified or not own, proxy=upstream.proxy
                )
                async with pool.stream(method, url, headers=sent, extensions=_TIMEOUT) as response:
                    found = {k.lower(): v for k, v in response.headers}
                    if response.status not in (301, 302, 303, 307, 308):
                        yield _Answer(response.status, found, url, response)
                        return
                url = urljoin(url, found.get(b"location", b"").decode("latin-1"))
                if not url.startswith(("http://", "https://")):
                    raise UpstreamFailed("The registry redirects to what is no web address.")
            raise UpstreamFailed("The registry redirects without end.")
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
            raise UpstreamFailed(
                f"{urlsplit(url).hostname} does not answer: {error or type(error).__name__}"
            ) from error
        except httpcore2.ProxyError as error:
            raise UpstreamFailed(str(error)) from error
        except pages.BadPage as error:
            raise UpstreamFailed(f"{urlsplit(url).hostname}: {error}") from error


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _name(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _header(request: h11.Request, name: bytes) -> bytes:
    return next((bytes(value) for key, value in request.headers if key == name), b"")


async def _limited(answer: _Answer, limit: int) -> AsyncIterator[bytes]:
    seen = 0
    async for chunk in answer.response.aiter_stream():
        seen += len(chunk)
        if seen > limit:
            raise UpstreamFailed(f"The registry's answer is larger than {limit:,} bytes.")
        yield chunk


async def _body(answer: _Answer) -> bytes:
    if answer.status != 200:
        raise UpstreamFailed(f"{urlsplit(answer.url).hostname} answered {answer.status}.")
    return b"".join([chunk async for chunk in _limited(answer, PAGE_LIMIT)])


async def _whole(exchange: Exchange, request: h11.Request, body: bytes, kind: str) -> int:
    await exchange.respond(200, [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())])
    if request.method != b"HEAD":
        for place in range(0, len(body), CHUNK):
            await exchange.data(body[place : place + CHUNK])
    await exchange.end()
    return 200


# Indexes that are folders of this machine


def _local_path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def _local_project(url: str) -> list[FileLink] | None:
    page = _local_path(url) / "index.html"
    try:
        body = page.read_bytes()
    except OSError:
        return None
    return pages.read_simple(body, pages.HTML_TYPE, url)


async def _serve_local(exchange: Exchange, request: h11.Request, path: Path) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NotServed(f"The index has no such file: {error.strerror}.") from None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise NotServed("The index has no such file.")
        headers = [(b"content-type", b"application/octet-stream")]
        await exchange.respond(200, [*headers, (b"content-length", str(status.st_size).encode())])
        left = 0 if request.method == b"HEAD" else status.st_size
        seen = hashlib.sha256()
        while left and (chunk := await asyncio.to_thread(file.read, min(CHUNK, left))):
            left -= len(chunk)
            seen.update(chunk)
            await exchange.data(chunk)
        if not left and request.method != b"HEAD":
            exchange.sha256 = seen.hexdigest()
        with contextlib.suppress(h11.LocalProtocolError):
            await exchange.end()
    return 200
