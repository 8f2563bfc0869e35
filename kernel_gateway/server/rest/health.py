"""Whether the server lives, can make sessions, and what it counts."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Gauge, generate_latest

from ... import __version__
from ...config import Settings
from ...errors import GatewayError, ImageUnavailable
from ...image.store import ImageStore
from ...sandbox.engines import presumed
from .base import GatewayHandler, described, guarded
from .sessions import OverviewHandler

STATES = ("running", "idle", "frozen", "stopped")


class Healthz(GatewayHandler):
    """Answered by whoever lives; needs no token and tells nothing else."""

    _track_activity = False

    @allow_unauthenticated
    def get(self) -> None:
        self.send({"status": "ok", "version": __version__})


class Readyz(GatewayHandler):
    """503 while a new session could not be made."""

    _track_activity = False

    @allow_unauthenticated
    async def get(self) -> None:
        try:
            await asyncio.to_thread(_check, self.gateway_settings)
        except GatewayError as error:
            self.send({"status": "not ready", "error": {"type": type(error).__name__}}, 503)
            self.log.warning("not ready: %s", described(error))
            return
        self.send({"status": "ready"})


def _check(settings: Settings) -> None:
    presumed(settings["engine"])
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o711)
    if ImageStore(settings.images).named(settings["image"]) is None:
        raise ImageUnavailable("The image is not built.", "cell-gateway image build")


class Metrics(OverviewHandler):
    """Prometheus' text format: Jupyter's own metrics, then ours."""

    _track_activity = False

    @guarded
    async def get(self) -> None:
        folders = await asyncio.to_thread(lambda: list(self.store))
        rows = await self.rows(folders)
        text = generate_latest(REGISTRY) + generate_latest(_registry(rows, len(self.turns)))
        self.finish(text, set_content_type=CONTENT_TYPE_LATEST)


def _registry(rows: list[dict[str, Any]], turns: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    sessions = Gauge("cell_gateway_sessions", "Sessions by state", ["state"], registry=registry)
    for state in STATES:
        sessions.labels(state).set(sum(r["state"] == state for r in rows))
    Gauge("cell_gateway_turns", "Turns of the model that run", registry=registry).set(turns)
    for key, what in (("memory_bytes", "Memory of live sandboxes"), ("disk_bytes", "Disk of all sessions")):
        Gauge(f"cell_gateway_{key}", what, registry=registry).set(sum(r[key] or 0 for r in rows))
    Gauge("cell_gateway_cells", "Cells of all sessions", registry=registry).set(sum(r["cells"] for r in rows))
    return registry
