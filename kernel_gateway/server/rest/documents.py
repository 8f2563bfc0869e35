"""A session as a file: its notebook, an export, a picture of it."""

from __future__ import annotations

import asyncio
import mimetypes
import os
import tempfile
from pathlib import Path

from ...errors import NotFound
from ...notebook.export import export
from ...session.beneath import open_beneath, opened_folder
from ...session.folder import SessionFolder
from .base import GatewayHandler, guarded
from .files import safe_headers
from .overview import PICTURE, last_picture

# An exported page brings its own styles and pictures, and no script of it runs.
_PAGE = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:"
_MIMES = {"ipynb": "application/x-ipynb+json", "html": "text/html; charset=UTF-8", "pdf": "application/pdf"}
_PICTURE_BYTES = 50 * 1024**2


async def exported(folder: SessionFolder, to: str) -> bytes:
    """Raises BadRequest for a format that there is not."""
    with tempfile.TemporaryDirectory(prefix="cell-gateway-") as place:
        target = Path(place) / f"{folder.id}.{to}"
        await asyncio.to_thread(export, folder, to, target)
        return await asyncio.to_thread(target.read_bytes)


class Notebook(GatewayHandler):
    @guarded
    async def get(self, name: str) -> None:
        folder = self.session(name)
        content = await exported(folder, "ipynb")
        safe_headers(self, f"{folder.id}.ipynb", inline=False)
        self.finish(content, set_content_type=_MIMES["ipynb"])


class Export(GatewayHandler):
    @guarded
    async def get(self, name: str) -> None:
        folder, to = self.session(name), self.get_query_argument("to", "html")
        content = await exported(folder, to)
        safe_headers(self, f"{folder.id}.{to}", inline=self.flag("inline"))
        if to == "html":
            self.set_header("Content-Security-Policy", _PAGE)
        guessed = mimetypes.guess_type(f"x.{to}")[0] or "application/octet-stream"
        self.finish(content, set_content_type=_MIMES.get(to, guessed))


class Picture(GatewayHandler):
    """``last`` is the newest."""

    @guarded
    async def get(self, name: str, picture: str) -> None:
        folder = self.session(name)
        wanted = last_picture(folder) if picture == "last" else picture
        if wanted is None or not PICTURE.fullmatch(wanted):
            raise NotFound("There is no such picture.")
        content = await asyncio.to_thread(_read, folder, wanted)
        safe_headers(self, wanted, inline=True)
        self.set_header("Cache-Control", "private, max-age=3600")
        self.finish(content, set_content_type=mimetypes.guess_type(wanted)[0] or "application/octet-stream")


def _read(folder: SessionFolder, name: str) -> bytes:
    try:
        with opened_folder(folder.pictures) as root, open(open_beneath(root, (name,)), "rb") as file:  # noqa: PTH123
            if os.fstat(file.fileno()).st_size > _PICTURE_BYTES:
                raise NotFound("The picture is too large to show.")
            return file.read(_PICTURE_BYTES)
    except OSError:
        raise NotFound("There is no such picture.") from None
