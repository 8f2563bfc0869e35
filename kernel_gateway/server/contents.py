"""What the contents API, ``/files`` and nbconvert see of sessions: no internals, and nothing by a link that code inside may have made."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from jupyter_server.files.handlers import FilesHandler
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from tornado import web
from traitlets import default

from ..errors import GatewayError
from ..session.beneath import open_beneath, opened_folder
from ..session.folder import SessionFolder

INTERNALS = ".session"
# Of a session itself: they are made and removed by commands, never by a file browser.
_FIXED = frozenset({"workspace", "outputs", "pictures", "notebook.ipynb"})


class SessionContents(AsyncLargeFileManager):
    """The folder of all sessions. Every path of every operation passes `_get_os_path`."""

    @default("files_handler_class")
    def _files_handler(self) -> type[FilesHandler]:
        """Reads through this class and sandboxes pages; the default one serves straight from the disk."""
        return FilesHandler

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
    def atomic_writing(self, os_path: str, *args: Any, **kwargs: Any) -> Generator[Any]:
        with super().atomic_writing(os_path, *args, **kwargs) as file:
            yield file
        self._give(os_path)

    async def _save_directory(self, os_path: str, model: Any, path: str = "") -> None:
        await super()._save_directory(os_path, model, path)
        self._give(os_path)

    def _give(self, os_path: str) -> None:
        """What a person puts into a workspace belongs to the code inside, as all else there."""
        parts = Path(os_path).relative_to(self.root_dir).parts
        if os.getuid() != 0 or len(parts) < 3 or parts[1] != "workspace":
            return
        uid = SessionFolder(Path(self.root_dir) / parts[0]).read().get("uid")
        if uid is None:
            return
        with opened_folder(Path(self.root_dir)) as root:
            fd = open_beneath(root, parts)
        try:
            os.fchown(fd, uid, uid)
        finally:
            os.close(fd)

    async def delete_file(self, path: str) -> None:
        self._check_not_fixed(path)
        await super().delete_file(path)

    async def rename_file(self, old_path: str, new_path: str) -> None:
        self._check_not_fixed(old_path)
        self._check_not_fixed(new_path)
        await super().rename_file(old_path, new_path)

    def _check_not_fixed(self, path: str) -> None:
        parts = PurePosixPath(path.strip("/")).parts
        is_session = bool(parts) and (Path(self.root_dir) / parts[0] / INTERNALS).exists()
        if is_session and (len(parts) == 1 or (len(parts) == 2 and parts[1] in _FIXED)):
            raise web.HTTPError(403, "This belongs to a session. Delete one with: cell-gateway sessions delete")
