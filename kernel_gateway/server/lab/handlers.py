"""What the server adds where JupyterLab is on."""

from __future__ import annotations

from typing import Any

from .execute import BODY, Execute

handlers: list[tuple[Any, ...]] = [
    (r"/api/kernels/(?P<kernel_id>[^/]+)/execute", Execute, {"bodies": {"post": BODY}}),
]
