"""The server extension, and the server that `serve` and `lab` start. Elsewhere the extension is dormant."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from traitlets import Bool
from traitlets.config import Config

from ..errors import BadRequest
from .context import Context

EXTENSION = "kernel_gateway.server"
# After a signal to end: then the process ends whatever still hangs. Sessions go on in either case.
STOP_SECONDS = 8.0
_PARTS = (
    "kernel_gateway.server.rest.handlers",
    "kernel_gateway.server.page.handlers",
    "kernel_gateway.server.untrusted",
)


class GatewayApp(ExtensionApp):
    """Our routes in a Jupyter server. Does nothing in a server that neither `serve` nor `lab` started."""

    name = "kernel_gateway"
    extension_url = "/cell-gateway"
    load_other_extensions = False
    active = Bool(False, help="Whether this server was made for sessions; `cell-gateway serve` and `lab` set it.").tag(
        config=True
    )

    def initialize_settings(self) -> None:
        if self.active and "cell_gateway" not in self.serverapp.web_app.settings:  # pyright: ignore[reportOptionalMemberAccess]
            self.settings["cell_gateway"] = getattr(self.serverapp, "context", None) or Context.take()

    def initialize_handlers(self) -> None:
        if not self.active:
            return
        for part in _PARTS:
            if importlib.util.find_spec(part) is not None:
                self.handlers.extend(import_module(part).handlers)


class GatewayServer(ServerApp):
    """A Jupyter server whose every kernel is a supervised session, whatever a configuration file says."""

    context: Context
    _enforced: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "GatewayApp": {"active": True},
        "KernelManager": {"autorestart": False},
        "MappingKernelManager": {"cull_idle_timeout": 0, "allowed_message_types": []},
        "MultiKernelManager": {"default_kernel_name": "python3"},
        # The supervisor bounds what a kernel says; Jupyter's own limit drops outputs silently.
        "ZMQChannelsWebsocketConnection": {"limit_rate": False},
        "KernelSpecManager": {"ensure_native_kernel": False},
        "GatewayClient": {"url": None},
    }

    def init_server_extensions(self) -> None:
        self._enforce()
        super().init_server_extensions()

    def init_configurables(self) -> None:
        """Here the classes are used for the first time: what files and extensions asked for is settled."""
        self._enforce()
        super().init_configurables()

    def _enforce(self) -> None:
        from .contents import SessionContents
        from .kernels import SessionKernelManager
        from .kernelspecs import SessionKernelSpecs
        from .sessions import PathBindings
        from .websocket import SessionConnection

        root = self.context.settings.data / "sessions"
        root.mkdir(parents=True, exist_ok=True, mode=0o711)
        self.update_config(Config({name: dict(values) for name, values in self._enforced.items()}))
        bindings = self.context.settings.data / "server"
        bindings.mkdir(exist_ok=True, mode=0o700)
        self.update_config(Config({"SessionManager": {"database_filepath": str(bindings / "paths.sqlite")}}))
        self.kernel_manager_class = SessionKernelManager
        self.kernel_spec_manager_class = SessionKernelSpecs
        self.session_manager_class = PathBindings
        self.kernel_websocket_connection_class = SessionConnection
        self.contents_manager_class = SessionContents
        self.terminals_enabled = False
        self.root_dir = str(root)
        self.preferred_dir = str(root)

    def server_info(self) -> dict[str, Any]:
        """What other commands of this person find it by."""
        return {**super().server_info(), "jupyterlab": self.context.lab_url is not None}

    def init_httpserver(self) -> None:
        """Nobody is answered before all live sessions are there again, with their kernel ids."""
        kernels: Any = self.kernel_manager
        self.io_loop.run_sync(kernels.refresh)
        super().init_httpserver()

    def stop(self, from_signal: bool = False) -> None:
        """Let go of all sessions and end; what hangs (a websocket, a document room) is left after a while."""
        deadline = threading.Timer(STOP_SECONDS, os._exit, [0])
        deadline.daemon = True
        deadline.start()
        super().stop(from_signal)


def check_binding(host: str, *, token: str | None, has_tls: bool, behind_proxy: bool) -> None:
    """Raises BadRequest for an address that others reach without a token, or by which a token would travel in the clear."""
    if host in ("localhost", "::1") or host.startswith("127."):
        return
    if token == "":
        raise BadRequest(
            f"Without a token, {host} would let everybody run code here.", "Leave --token out: one is made and printed."
        )
    if not has_tls and not behind_proxy:
        raise BadRequest(
            f"On {host} the token and all data would travel unencrypted.",
            "Give --certfile and --keyfile; or --behind-proxy when something in front makes the TLS; or keep 127.0.0.1.",
        )


def new_server(
    context: Context,
    options: Mapping[str, Mapping[str, Any]],
    *,
    extensions: Mapping[str, bool] | None = None,
) -> GatewayServer:
    """Made and listening, not started. ``options`` are Jupyter's, by class and trait; ``extensions`` come beside ours.

    What makes every kernel a session cannot be changed by them.
    """
    server = GatewayServer.instance(
        jpserver_extensions={EXTENSION: True, **(extensions or {})},
        config=Config({name: dict(values) for name, values in options.items()}),
    )
    server.context = context
    # Only what is named here is loaded: an extension that is installed by chance could make kernels of its own.
    server.initialize(argv=[], find_extensions=False)
    return server
