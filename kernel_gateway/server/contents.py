"""What the contents API, ``/files`` and nbconvert see of sessions: no internals, and nothing by a link that code inside may have made."""

from __future__ import annotations

import asyncio
import base64
import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from jupyter_core.paths import is_hidden
from jupyter_server.files.handlers import FilesHandler
from jupyter_server.services.contents.filecheckpoints import AsyncGenericFileCheckpoints
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from nbformat import from_dict
from tornado import web
from traitlets import default

from ..errors import GatewayError
from ..session.beneath import open_beneath, opened_folder
from ..session.folder import SessionFolder
from . import notebooks
from .sessions import session_of
from .trust import browser_numbers, is_trusted
from .untrusted import UntrustedFiles
from .writing import append, copy_folder, make_folder, move, remove, replacing

if TYPE_CHECKING:
    from .lab.rooms import OpenNotebooks

INTERNALS = ".session"
# Of a session itself: they are made and removed by commands, never by a file browser.
_CHAT = "session.chat"
_FIXED = frozenset({"workspace", "outputs", "pictures", "notebook.ipynb", _CHAT})

_STATUS = {
    **dict.fromkeys((errno.ENOENT, errno.ELOOP, errno.ENOTDIR), 404),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY), 403),
    **dict.fromkeys((errno.EEXIST,), 409),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), 507),
}


@contextmanager
def told(path: str) -> Generator[None]:
    """An error of the disk as the answer to a request."""
    try:
        yield
    except OSError as error:
        status = _STATUS.get(error.errno or 0, 400)
        raise web.HTTPError(status, f"{path}: {os.strerror(error.errno or errno.EIO)}") from None
    except GatewayError as error:
        raise web.HTTPError(error.status, error.message) from None


class SessionCheckpoints(AsyncGenericFileCheckpoints):
    """Copies of what was saved, among the internals of its session: beside the file, code inside could make a link of their place."""

    def checkpoint_path(self, checkpoint_id: str, path: str) -> str:
        parts = PurePosixPath(path.strip("/")).parts
        if not parts or INTERNALS in parts or ".." in parts or "\0" in path:
            raise web.HTTPError(404, f"No such file or directory: {path}")
        root = Path(self.root_dir)
        internals = root / parts[0] / INTERNALS
        folder = (internals if internals.is_dir() else root.parent / "server") / "checkpoints"
        place = folder.joinpath(*parts[:-1])
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = PurePosixPath(parts[-1])
        return str(place / f"{name.stem}-{checkpoint_id}{name.suffix}")


class SessionContents(AsyncLargeFileManager):
    """The folder of all sessions. Every path of every operation passes `_get_os_path`."""

    # Jupyter's own way of writing, by path; with it goes a way of mending files, by path too.
    use_atomic_writing: Any = False

    @default("checkpoints_class")
    def _checkpoints(self) -> type[SessionCheckpoints]:
        return SessionCheckpoints

    # Where JupyterLab is on: the notebooks that somebody has open.
    open_notebooks: OpenNotebooks | None = None

    @default("files_handler_class")
    def _files_handler(self) -> type[FilesHandler]:
        """Reads through this class and lets no page act; the default one serves straight from the disk."""
        return UntrustedFiles

    @default("files_handler_params")
    def _files_params(self) -> dict[str, Any]:
        return {"path": self.root_dir}

    @default("delete_to_trash")
    def _delete(self) -> bool:
        return False

    def should_list(self, name: str) -> bool:
        return name != INTERNALS and super().should_list(name)

    def _get_os_path(self, path: str) -> str:
        """Raises 404 where a component is a link or internal: neither exists for who asks."""
        parts = PurePosixPath(path.strip("/")).parts
        if INTERNALS in parts or ".." in parts:
            raise web.HTTPError(404, f"No such file or directory: {path}")
        found = super()._get_os_path(path)
        place = Path(self.root_dir)
        for part in parts:
            place = place / part
            if place.is_symlink():
                raise web.HTTPError(404, f"No such file or directory: {path}")
        return found

    async def get(self, path: str, content: bool = True, **options: Any) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A session's notebook is brought up to date before it is read.

        Its ``last_modified``, and its chat's, never changes: they are written all the time, and a client that believed in a change by
        somebody else would ask a person whose version to keep, or overwrite the shared document.
        """
        folder, chat = session_of(path), self._with_chat(path)
        if folder is not None and (content or not folder.notebook.exists()):
            with _told():
                await notebooks.write(folder)
        model: dict[str, Any] = await super().get(path, content=content, **options)
        if folder is not None and content:
            # A document that holds others cannot be opened.
            model["content"] = from_dict(browser_numbers(model["content"]))
        if (kept := folder or chat) is not None:
            model["last_modified"] = model["created"] = _created(kept)
            if chat is not None and model.get("hash") is not None:
                # JupyterLab compares this too before it saves.
                model["hash"] = _CHAT
        return model

    async def save(self, model: dict[str, Any], path: str = "") -> dict[str, Any]:
        if self._with_chat(path) is not None:
            # Its pages send what is said by a websocket, and the server writes it; saving is a matter of course for an editor.
            return await self.get(path, content=False)
        folder = session_of(path)
        if folder is None or model.get("type") != "notebook" or not isinstance(model.get("content"), dict):
            return await super().save(model, path)
        with _told():
            await notebooks.save(folder, model["content"], self.open_notebooks)
        return await self.get(path, content=False)

    def _with_chat(self, path: str) -> SessionFolder | None:
        """The session whose chat this is."""
        parts = PurePosixPath(path.strip("/")).parts
        if len(parts) != 2 or parts[1] != _CHAT:
            return None
        folder = SessionFolder(Path(self._get_os_path(parts[0])))
        return folder if folder.internals.is_dir() else None

    def mark_trusted_cells(self, nb: Any, path: str = "") -> None:
        """A session's cells by who ran them and what they show; nobody's signature counts."""
        if session_of(path) is None:
            super().mark_trusted_cells(nb, path)
            return
        for cell in nb.cells:
            cell["metadata"]["trusted"] = is_trusted(cell)

    async def _dir_model(self, path: str, content: bool = True) -> dict[str, Any]:
        """A listing has what could be got; links, devices and internals are passed over."""
        model: dict[str, Any] = await super()._dir_model(path, content=False)
        if content:
            names = sorted(
                entry.name for entry in Path(self._get_os_path(path)).iterdir() if self.should_list(entry.name)
            )
            found = [await self._entry(f"{path}/{name}") for name in names]
            model |= {"format": "json", "content": [entry for entry in found if entry is not None]}
        return model

    async def _entry(self, path: str) -> Any:
        try:
            return await self.get(path, content=False)
        except (web.HTTPError, OSError):
            return None

    @contextmanager
    def open(self, os_path: str, *args: Any, **kwargs: Any) -> Generator[Any]:
        """For reading. Code inside may put a link in place of a folder at any moment: the kernel refuses to follow it."""
        try:
            with opened_folder(Path(self.root_dir)) as root:
                fd = open_beneath(root, Path(os_path).relative_to(self.root_dir).parts)
        except (OSError, ValueError, GatewayError):
            raise web.HTTPError(404, "No such file or directory") from None
        with os.fdopen(fd, *args, **kwargs) as file:
            yield file

    @contextmanager
    def atomic_writing(self, os_path: str, text: bool = True, **kwargs: Any) -> Generator[Any]:
        options = {"encoding": kwargs.get("encoding", "utf-8"), "newline": "\n"} if text else {}
        place, path = Path(self.root_dir), Path(os_path)
        with told(os_path), replacing(place, path, self._owner(path), "w" if text else "wb", **options) as file:
            yield file

    async def _save_large_file(self, os_path: str, content: str, format: str | None) -> None:
        """A further piece of a file that is uploaded."""
        if format not in ("text", "base64"):
            raise web.HTTPError(400, "The format of a piece is 'text' or 'base64'.")
        try:
            data = content.encode() if format == "text" else base64.b64decode(content)
        except ValueError as error:
            raise web.HTTPError(400, f"This is not {format}: {error}") from None
        with told(os_path):
            await asyncio.to_thread(append, Path(self.root_dir), Path(os_path), data)

    async def _save_directory(self, os_path: str, model: Any, path: str = "") -> None:
        with told(path):
            make_folder(Path(self.root_dir), self._visible(path), self._owner(Path(os_path)))

    def _owner(self, os_path: Path) -> int | None:
        """What a person puts into a workspace belongs to the code inside, as all else there."""
        parts = os_path.relative_to(self.root_dir).parts
        if os.getuid() != 0 or len(parts) < 3 or parts[1] != "workspace":
            return None
        return SessionFolder(Path(self.root_dir) / parts[0]).read().get("uid")

    async def delete_file(self, path: str) -> None:
        """A file or an empty folder."""
        self._check_not_fixed(path)
        with told(path):
            await asyncio.to_thread(remove, Path(self.root_dir), self._visible(path))

    async def rename_file(self, old_path: str, new_path: str) -> None:
        self._check_not_fixed(old_path)
        self._check_not_fixed(new_path)
        with told(new_path):
            await asyncio.to_thread(move, Path(self.root_dir), self._visible(old_path), self._visible(new_path))

    async def _copy_dir(self, from_path: str, to_path_original: str, to_name: str, to_path: str) -> Any:
        source, target = self._visible(from_path), self._visible(to_path)
        with told(to_path):
            await asyncio.to_thread(copy_folder, Path(self.root_dir), source, target, self._owner(target))
        return await self.get(to_path, content=False)

    def _visible(self, path: str) -> Path:
        """Raises 400 for a hidden one where hidden ones are not to be had."""
        found = self._get_os_path(path.strip("/"))
        if not self.allow_hidden and is_hidden(found, self.root_dir):
            raise web.HTTPError(400, f"This is hidden: {path}")
        return Path(found)

    def _check_not_fixed(self, path: str) -> None:
        parts = PurePosixPath(path.strip("/")).parts
        is_session = bool(parts) and (Path(self.root_dir) / parts[0] / INTERNALS).exists()
        if is_session and (len(parts) == 1 or (len(parts) == 2 and parts[1] in _FIXED)):
            raise web.HTTPError(403, "This belongs to a session. Delete one with: cell-gateway sessions delete")


@contextmanager
def _told() -> Generator[None]:
    """An error of ours as an answer that a person can read."""
    try:
        yield
    except GatewayError as error:
        raise web.HTTPError(error.status, str(error)) from None


def _created(folder: SessionFolder) -> datetime:
    try:
        return datetime.fromisoformat(str(folder.read()["created"]).replace("Z", "+00:00"))
    except (KeyError, ValueError):
        return datetime.fromtimestamp(0, timezone.utc)
