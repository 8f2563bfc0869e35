"""Each session has a workspace of JupyterLab of its own: its notebook, and its chat beside it."""

from __future__ import annotations

import json
import re
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from jupyterlab_server.workspaces_handler import WorkspacesManager
from tornado import web

from ...config import Settings
from ...session.folder import SessionFolder, SessionStore
from ..chat.options import has_chat
from .options import workspaces_folder

_NOTEBOOK_SHARE = 0.62


def workspace_path(base_url: str, session: str) -> str:
    """Whoever opens it gets the session's notebook."""
    return url_path_join(base_url, "cell-gateway", "lab", session)


def ensure_workspace(settings: Settings, folder: SessionFolder) -> str:
    """The workspace's name. One that a person has arranged otherwise is kept, as long as the notebook is in it."""
    # What JupyterLab takes in an address.
    name = "cell-gateway-" + re.sub(r"[^A-Za-z0-9_-]", "_", folder.id)
    workspaces = WorkspacesManager(str(workspaces_folder(settings)))
    notebook = f"notebook:{folder.id}/{folder.notebook.name}"
    try:
        is_there = notebook in workspaces.load(name)["data"]
    except (ValueError, KeyError, TypeError):
        # Not written to its end when the machine stopped.
        is_there = False
    if not is_there:
        workspaces.save(name, json.dumps(_layout(name, folder, notebook)))
    return name


def _layout(name: str, folder: SessionFolder, notebook: str) -> dict[str, Any]:
    data: dict[str, Any] = {
        notebook: {"data": {"path": notebook.partition(":")[2], "factory": "Notebook"}},
        "file-browser-filebrowser:cwd": {"path": folder.id},
    }
    areas = [_tab(notebook)]
    if has_chat():
        from ..chat.rooms import ensure_chat

        path = ensure_chat(folder)
        data[f"chat:{path}"] = {"data": {"filepath": path, "inSidePanel": False, "startup": True}}
        areas.append(_tab(f"chat:{path}"))
    sizes = [_NOTEBOOK_SHARE, 1 - _NOTEBOOK_SHARE] if len(areas) > 1 else [1]
    dock = {"type": "split-area", "orientation": "horizontal", "sizes": sizes, "children": areas}
    data["layout-restorer:data"] = {
        "main": {"dock": dock, "current": notebook},
        "left": {"collapsed": True, "visible": True},
        "right": {"collapsed": True, "visible": True},
        "relativeSizes": [0, 1, 0],
    }
    return {"data": data, "metadata": {"id": name}}


def _tab(widget: str) -> dict[str, Any]:
    return {"type": "tab-area", "currentIndex": 0, "widgets": [widget]}


class OpenSession(JupyterHandler):
    """``GET /cell-gateway/lab/{id}``: to its workspace."""

    auth_resource = "cell-gateway"

    @web.authenticated
    @authorized
    def get(self, session: str) -> None:
        settings: Settings = self.settings["cell_gateway"].settings
        folder = next((found for found in SessionStore(settings.data) if found.id == session), None)
        if folder is None:
            raise web.HTTPError(404, f"There is no session {session}.")
        self.redirect(url_path_join(self.base_url, "lab", "workspaces", ensure_workspace(settings, folder)))


handlers: list[tuple[Any, ...]] = [(r"/cell-gateway/lab/(?P<session>[^/]+)", OpenSession)]
