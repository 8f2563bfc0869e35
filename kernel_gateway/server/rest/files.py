"""Files of a workspace: put piece by piece onto the disk, got in ranges, listed, removed."""

from __future__ import annotations

import asyncio
import base64
import binascii
import dataclasses
import mimetypes
import os
import re
from contextlib import ExitStack
from itertools import islice
from typing import Any
from urllib.parse import quote

from tornado import web
from tornado.iostream import StreamClosedError

from ...agent.conversation import Attachment
from ...errors import BadRequest, FileTooLarge, GatewayError
from ...session.files import Uploaded, get, listing
from ...session.folder import SessionFolder
from ...session.policy import Policy
from ...session.receive import Arriving, arriving, remove_file, sha256_of
from ...supervisor.client import SessionClient, connect
from .base import GatewayHandler, guarded

LISTED = 10_000
_PIECE = 1024 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
# Beyond the limit by so much before the connection is ended: a body without a length is told why.
_SLACK = 1024 * 1024


class Files(GatewayHandler):
    @guarded
    async def get(self, name: str) -> None:
        folder = self.session(name)
        entries = await asyncio.to_thread(lambda: list(islice(listing(folder), LISTED + 1)))
        told = [dataclasses.asdict(e) for e in entries[:LISTED]]
        self.send({"files": told, "complete": len(entries) <= LISTED})


@web.stream_request_body
class File(GatewayHandler):
    """A PUT is on disk, and its limit checked, as it comes: nothing of it is held in memory."""

    def initialize(self, bodies: dict[str, Any] | None = None) -> None:
        super().initialize(bodies)
        self._stack, self._file, self._refused = ExitStack(), None, None
        self._waiting: list[bytes] = []
        self._held = 0

    async def prepare(self) -> None:
        await super().prepare()
        if self.request.method != "PUT" or self._finished:
            return
        try:
            if self.current_user is None:
                raise web.HTTPError(403)
            name, path = (str(self.path_kwargs[k]) for k in ("name", "path"))
            folder = self.session(name)
            limit = Policy.from_json(folder.read().get("policy", {})).upload
            declared = self.request.headers.get("Content-Length")
            connection: Any = self.request.connection
            connection.set_max_body_size(limit + _SLACK)
            self._file: Arriving | None = self._stack.enter_context(
                arriving(folder, path, int(declared) if declared else None)
            )
        except GatewayError as error:
            await self._refuse(error)

    async def _refuse(self, error: GatewayError) -> None:
        """Before the body is read: its sender is told, and the connection ends, since what follows is the body."""
        self._stack.close()
        self._file, self._refused = None, error
        if not isinstance(error, FileTooLarge):
            # A body of a bearable size is read and dropped, so that its sender reads the answer.
            return
        self.set_header("Connection", "close")
        self.fail(error)
        connection: Any = self.request.connection
        connection.set_max_body_size(0)

    async def data_received(self, chunk: bytes) -> None:
        if self._file is None:
            return
        self._waiting.append(chunk)
        self._held += len(chunk)
        if self._held >= _PIECE:
            await self._write()

    async def _write(self) -> None:
        data, self._waiting, self._held = b"".join(self._waiting), [], 0
        if self._file is None or not data:
            return
        try:
            await asyncio.to_thread(self._file.write, data)
        except GatewayError as error:
            self._stack.close()
            self._file, self._refused = None, error

    def on_finish(self) -> None:
        self._stack.close()
        super().on_finish()

    def on_connection_close(self) -> None:
        self._stack.close()
        self._file = None
        super().on_connection_close()

    @guarded
    async def put(self, name: str, path: str) -> None:
        await self._write()
        if self._refused is not None:
            raise self._refused
        assert self._file is not None, "opened when the headers came"
        folder = self.session(name)
        uploaded = self._file.finish()
        async with connect(folder) as client:
            self.send(await recorded(client, uploaded), 201)

    @guarded
    async def delete(self, name: str, path: str) -> None:
        await asyncio.to_thread(remove_file, self.session(name), path)
        self.set_status(204)
        self.finish()

    @guarded
    async def head(self, name: str, path: str) -> None:
        await self._serve(name, path)

    @guarded
    async def get(self, name: str, path: str) -> None:
        await self._serve(name, path)

    async def _serve(self, name: str, path: str) -> None:
        with get(self.session(name), path) as file:
            tag = f'"{await asyncio.to_thread(sha256_of, file.fd)}"'
            self.set_header("Etag", tag)
            self.set_header("Accept-Ranges", "bytes")
            safe_headers(self, path.rpartition("/")[2], self.flag("inline"))
            mime = mimetypes.guess_type(path)[0] or "application/octet-stream"
            self.set_header("Content-Type", mime)
            if tag in self.request.headers.get("If-None-Match", ""):
                self.set_status(304)
                self.finish(set_content_type=mime)
                return
            start, end = self._range(file.size, tag)
            self.set_header("Content-Length", str(end - start))
            if self.request.method == "GET":
                await self._pieces(file.fd, start, end)
            self.finish(set_content_type=mime)

    def _range(self, size: int, tag: str) -> tuple[int, int]:
        """The bytes that are asked for; the whole file where the range is none that we know, or the file is another."""
        found = _RANGE.fullmatch(self.request.headers.get("Range", ""))
        if found is None or not any(found.groups()) or self.request.headers.get("If-Range", tag) != tag:
            return 0, size
        first, last = found.groups()
        start = int(first) if first else max(0, size - int(last))
        end = min(size, int(last) + 1) if first and last else size
        if start >= size or end <= start:
            self.set_header("Content-Range", f"bytes */{size}")
            raise web.HTTPError(416, f"The file has {size} bytes.")
        self.set_status(206)
        self.set_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        return start, end

    async def _pieces(self, fd: int, start: int, end: int) -> None:
        while start < end:
            data = await asyncio.to_thread(os.pread, fd, min(_PIECE, end - start), start)
            if not data:
                # It became shorter: ending short of the length tells the reader.
                self.request.connection.stream.close()  # pyright: ignore[reportOptionalMemberAccess, reportUnknownMemberType, reportAttributeAccessIssue]
                return
            self.write(data)
            start += len(data)
            try:
                await self.flush()
            except StreamClosedError:
                return


def safe_headers(handler: GatewayHandler, filename: str, inline: bool) -> None:
    """What code in a sandbox made never runs with the rights of whoever looks at it."""
    handler.set_header("X-Content-Type-Options", "nosniff")
    handler.set_header(
        "Content-Security-Policy", "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    )
    kind = "inline" if inline else "attachment"
    name = quote("".join(c for c in filename if c.isprintable()).encode("utf-8", "replace"))
    handler.set_header("Content-Disposition", f"{kind}; filename*=UTF-8''{name}")


async def recorded(client: SessionClient, file: Uploaded) -> dict[str, Any]:
    record = {"path": file.path, "sha256": file.sha256, "bytes": file.bytes, "mime": file.mime}
    await client.record("input", **record, origin="upload")
    return record


async def put_text(client: SessionClient, path: str, content: str, encoding: str) -> dict[str, Any]:
    """A small file that came in a JSON body. Raises BadRequest."""
    try:
        data = base64.b64decode(content, validate=True) if encoding == "base64" else content.encode()
    except (binascii.Error, ValueError):
        raise BadRequest(f"The content of {path!r} is not base64.") from None
    with arriving(client.folder, path, len(data)) as file:
        file.write(data)
        return await recorded(client, file.finish())


async def attached(folder: SessionFolder, paths: list[str]) -> list[Attachment]:
    """Files that lie in the workspace, as a prompt names them. Raises NotFound, UnsafePath."""
    found: list[Attachment] = []
    for path in paths:
        with get(folder, path) as file:
            digest = await asyncio.to_thread(sha256_of, file.fd)
            mime = mimetypes.guess_type(path)[0] or "application/octet-stream"
            found.append(Attachment(path, path, digest, file.size, mime))
    return found
