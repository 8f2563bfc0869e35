"""Jupyter's "sessions": which document is bound to which kernel. A session's notebook is bound to the session's kernel."""

from __future__ import annotations

import uuid
from pathlib import PurePosixPath
from typing import Any

from jupyter_server.services.sessions.sessionmanager import SessionManager

from ..config import load_settings
from ..session.folder import SessionFolder
from .kernels import SessionKernelManager


class PathBindings(SessionManager):
    """Kept in a file, so that they outlive the server."""

    kernel_manager: SessionKernelManager  # pyright: ignore[reportIncompatibleVariableOverride]

    async def session_exists(self, path: str) -> bool:
        await self._bind_notebooks()
        return await super().session_exists(path)

    async def list_sessions(self) -> list[dict[str, Any]]:
        await self._bind_notebooks()
        return await super().list_sessions()

    async def _bind_notebooks(self) -> None:
        """A live session's notebook opens attached to its kernel, also when no client ever asked for that."""
        await self.kernel_manager.refresh()
        known: dict[str, str] = {
            row["path"]: row["kernel_id"] for row in self.cursor.execute("SELECT path, kernel_id FROM session")
        }
        for identity in self.kernel_manager.list_kernel_ids():
            folder = self.kernel_manager.folder_of(identity)
            if folder is None:
                continue
            path = f"{folder.id}/{folder.notebook.name}"
            if known.get(path, "") not in self.kernel_manager:
                self.cursor.execute("DELETE FROM session WHERE path=?", (path,))
                name = str(uuid.uuid5(uuid.NAMESPACE_URL, path + identity))
                await self.save_session(name, path=path, name=folder.notebook.name, type="notebook", kernel_id=identity)

    def get_kernel_env(self, path: str | None, name: Any = None) -> dict[str, str]:
        """Nothing of the server's environment reaches a kernel."""
        return {}

    async def start_kernel_for_session(
        self,
        session_id: str,
        path: str | None,
        name: Any,
        type: str | None,
        kernel_name: Any,
        kernel_id: str | None = None,
    ) -> str:
        """For the notebook of a session its own kernel; else a new session."""
        if (folder := session_of(path)) is not None:
            return await self.kernel_manager.start_session(folder)
        return await self.kernel_manager.start_kernel(kernel_name=kernel_name, kernel_id=kernel_id)


def session_of(path: str | None) -> SessionFolder | None:
    """The session whose ``notebook.ipynb`` a path of the contents API names."""
    parts = PurePosixPath((path or "").strip("/")).parts
    if len(parts) != 2 or parts[1] != "notebook.ipynb" or parts[0] in (".", ".."):
        return None
    folder = SessionFolder(load_settings().data / "sessions" / parts[0])
    return folder if (folder.internals / "session.json").is_file() else None
