"""A Jupyter server with our routes, in a process of its own: ``python -m tests.server.rest.serving PORT TOKEN``."""

from __future__ import annotations

import sys
from typing import Any

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp

from kernel_gateway.server.context import Context
from kernel_gateway.server.page.handlers import handlers as page_handlers
from kernel_gateway.server.rest.handlers import handlers as rest_handlers


class Routes(ExtensionApp):
    name = "cell_gateway_routes"
    load_other_extensions = False

    def initialize_settings(self) -> None:
        self.settings["cell_gateway"] = Context.take()

    def initialize_handlers(self) -> None:
        self.handlers.extend([*rest_handlers, *page_handlers])


def main(port: str, token: str) -> None:
    server: Any = ServerApp()
    options = {"ip": "127.0.0.1", "port": port, "port_retries": "0", "open_browser": "False", "allow_root": "True"}
    arguments = [f"--ServerApp.{k}={v}" for k, v in options.items()]
    server.initialize([*arguments, f"--IdentityProvider.token={token}"], find_extensions=False)
    routes: Any = Routes()
    routes._link_jupyter_server_extension(server)
    routes.initialize()
    routes._load_jupyter_server_extension(server)
    server.io_loop.add_callback(print, "ready", flush=True)
    server.start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
