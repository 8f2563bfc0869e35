"""What the server adds to Jupyter's own handlers; paths are relative to its base URL."""

from __future__ import annotations

from typing import Any

from .base import NoSuchRoute
from .openapi import OpenApi
from .routes import ROOT, ROUTES

handlers: list[tuple[Any, ...]] = [
    (f"{ROOT}/openapi.json", OpenApi),
    *((route.pattern, route.handler, {"bodies": route.bodies}) for route in ROUTES),
    (f"{ROOT}/.*", NoSuchRoute),
]
