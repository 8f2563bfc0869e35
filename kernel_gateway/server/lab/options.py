"""What `lab` asks of JupyterLab. All that it keeps is in the data folder, nothing in a workspace or a person's own Jupyter."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...config import Settings
from ...errors import BadRequest
from ..chat.options import CHAT_EXTENSIONS, chat_options, has_chat

Options = dict[str, dict[str, Any]]

# The second half, where it is installed, would start kernels or write notebooks beside us, or serve what nobody needs here.
LAB_EXTENSIONS: dict[str, bool] = {
    "jupyter_server_fileid": True,
    "jupyter_server_ydoc": True,
    "kernel_gateway.server.lab.app": True,
    "jupyterlab": False,
    "jupyter_ai": False,
    "jupyter_ai_persona_manager": False,
    "jupyter_ai_router": False,
    "jupyter_live_content": False,
    "jupyter_lsp": False,
    "jupyter_resource_usage": False,
    "jupyter_server_documents": False,
    "jupyter_server_nbmodel": False,
    "jupyter_server_terminals": False,
    "jupyterlab_chat": False,
    "notebook": False,
    "notebook_shim": False,
}
# After the last page of a document has gone its room stays for this while; a lid closed over lunch costs nothing.
ROOM_SECONDS = 600.0
# Changes of a document are kept one by one until nobody has changed it for this while, then as one.
SQUASH_SECONDS = 3600


def chat_extensions() -> dict[str, bool]:
    """Those of the chat, where the extra ``chat`` is installed; load them beside `LAB_EXTENSIONS`."""
    return dict(CHAT_EXTENSIONS) if has_chat() else {}


def check_installed() -> None:
    """Raises BadRequest when JupyterLab is not there, or something beside which no notebook would be safe."""
    missing = [
        name for name in ("jupyterlab", "jupyter_server_ydoc", "jupyter_server_fileid") if find_spec(name) is None
    ]
    if missing:
        raise BadRequest(
            "JupyterLab with its shared documents is not installed here.",
            "Install the extra lab: uv tool install 'cell-gateway[lab]', or pip install 'cell-gateway[lab]'",
        )
    if find_spec("jupyter_server_documents") is not None:
        raise BadRequest(
            "The package jupyter-server-documents is installed here; it would put documents of its own in place of ours.",
            "pip uninstall jupyter-server-documents, or install cell-gateway[lab] into an environment of its own",
        )


def lab_folder(settings: Settings) -> Path:
    """Where workspaces, settings and shared documents of our JupyterLab are kept; made when it is not there."""
    folder = settings.data / "server" / "lab"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def workspaces_folder(settings: Settings) -> Path:
    return lab_folder(settings) / "workspaces"


def lab_options(settings: Settings) -> Options:
    """Jupyter's options, by class, to be laid over those of `serve`."""
    own = lab_folder(settings)
    here = Path(__file__).parent
    return {
        "ServerApp": {"default_url": "/lab"},
        "LabApp": {
            "workspaces_dir": str(workspaces_folder(settings)),
            "user_settings_dir": str(own / "user-settings"),
            # Ours are defaults that a person may change; nothing is ever written there.
            "app_settings_dir": str(here / "settings"),
            "extra_labextensions_path": _labextensions(here),
            "extension_manager": "readonly",
            "lock_all_plugins": True,
            "news_url": None,
            "check_for_updates_class": "jupyterlab.handlers.announcements.NeverCheckForUpdate",
        },
        "YDocExtension": {
            "server_side_execution": True,
            "document_cleanup_delay": ROOM_SECONDS,
            "session_store_path": str(own / "collaboration.json"),
        },
        "SQLiteYStore": {"db_path": str(own / "documents.sqlite"), "squash_after_inactivity_of": SQUASH_SECONDS},
        "BaseFileIdManager": {"db_path": str(own / "files.sqlite")},
        **(chat_options() if has_chat() else {}),
    }


def _labextensions(here: Path) -> Sequence[str]:
    folder = here / "extension"
    return [str(folder)] if folder.is_dir() else []
