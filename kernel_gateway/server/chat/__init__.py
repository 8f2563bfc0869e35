"""A chat beside each session's notebook in JupyterLab: extra ``chat``.

Its server extension stands in for those of the packages below it.
"""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:  # pyright: ignore[reportUnusedFunction]
    from .app import ChatApp

    return [{"module": "kernel_gateway.server.chat", "app": ChatApp}]
