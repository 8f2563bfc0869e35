"""The server: Jupyter's own, with sessions in it."""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:  # pyright: ignore[reportUnusedFunction]  Jupyter calls it
    from .app import GatewayApp

    return [{"module": "kernel_gateway.server.app", "app": GatewayApp}]
