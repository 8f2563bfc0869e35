"""JupyterLab as `lab` loads it, with what is ours in it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from jupyter_server.utils import url_path_join
from jupyterlab.labapp import LabApp
from jupyterlab_server.handlers import LabHandler, NotFoundHandler

from .browser import Policy, inline_hashes
from .page import POLICY, LabPage, MissingLabPage
from .workspace import workspace_path

_PARTS = ("handlers", "approvals", "workspace")
_PAGES: dict[type, type] = {LabHandler: LabPage, NotFoundHandler: MissingLabPage}


class SessionsLab(LabApp):
    """JupyterLab whose pages carry neither the token nor anything that outputs could run, and whose notebooks are sessions."""

    def initialize_settings(self) -> None:
        super().initialize_settings()
        server: Any = self.serverapp
        base = server.base_url
        scripts = [url_path_join(base, f"/static/{self.name}/"), url_path_join(base, f"{self.labextensions_url}/")]
        page = Path(self.static_dir, "index.html").read_text()
        self.settings[POLICY] = Policy(scripts, inline_hashes(page))
        server.web_app.settings["cell_gateway"].lab_url = lambda folder: workspace_path(base, folder.id)
        # Extensions are loaded by name: documents, file ids and our routes are there by now.
        import_module(f"{__package__}.rooms").start(server)

    def initialize_handlers(self) -> None:
        super().initialize_handlers()
        ours: list[tuple[Any, ...]] = [
            (pattern, _PAGES.get(handler, handler), *rest) for pattern, handler, *rest in self.handlers
        ]
        parts = (import_module(f"{__package__}.{part}") for part in _PARTS)
        self.handlers = [*(handler for part in parts for handler in part.handlers), *ours]

    async def stop_extension(self) -> None:
        """What people wrote a moment ago is recorded before the server ends."""
        await super().stop_extension()
        server: Any = self.serverapp
        await server.web_app.settings["cell_gateway_notebooks"].flush()


def _jupyter_server_extension_points() -> list[dict[str, Any]]:  # pyright: ignore[reportUnusedFunction]
    return [{"module": __name__, "app": SessionsLab}]
