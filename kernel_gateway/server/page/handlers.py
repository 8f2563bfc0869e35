"""The sessions page: rendered here, kept fresh by events. It loads nothing from elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import jinja2
from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from jupyter_server.base.handlers import JupyterHandler
from tornado import web

from ...egress import audit
from ...errors import GatewayError
from ...notebook.export import FORMATS
from ...session.folder import SessionFolder, SessionStore
from ...supervisor.client import connect
from ..rest.base import GatewayHandler, guarded
from ..rest.overview import Overview
from ..rest.sessions import OverviewHandler
from ..rest.stream import Events
from .view import audit_rows, card, summary

_HERE = Path(__file__).parent
_STATIC = {"page.css": "text/css; charset=UTF-8", "page.js": "text/javascript; charset=UTF-8"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'self'"
)
_FORMAT_NAMES = {
    "ipynb": "Notebook (.ipynb)",
    "html": "One page to share (.html)",
    "pdf": "Document (.pdf)",
    "py": "Script (.py)",
    "zip": "Everything (.zip)",
}
_LOOK_SECONDS = 1.5
_AUDIT_LINES = 1000
_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


class PageHandler(GatewayHandler):
    """A page for people: who is not signed in is sent to Jupyter's login page."""

    @property
    def content_security_policy(self) -> str:
        return _POLICY

    def get_login_url(self) -> str:
        return JupyterHandler.get_login_url(self)

    async def rows(self) -> list[dict[str, Any]]:
        overview: Overview = self.settings.setdefault("cell_gateway_overview", Overview())
        return await overview.rows(await asyncio.to_thread(lambda: list(self.store)))

    async def cards(self) -> dict[str, Any]:
        rows = await self.rows()
        cards = [card(r, self.api(r["id"]), self.lab_url(r["id"])) for r in rows]
        cards.sort(key=lambda c: not c["live"])
        return {"cards": cards, "summary": summary(rows), "formats": [(f, _FORMAT_NAMES.get(f, f)) for f in FORMATS]}

    def api(self, session: str) -> str:
        return f"{self.base_url}api/gateway/sessions/{session}"

    def lab_url(self, session: str) -> str | None:
        """Where JupyterLab shows the notebook, when this server has it."""
        found = getattr(self.gateway, "lab_url", None)
        return str(found(self.session(session))) if callable(found) else None

    def page(self, template: str, **values: Any) -> None:
        base = f"{self.base_url}cell-gateway"
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        shared = {
            "base": base,
            "xsrf": self.xsrf_token.decode("ascii", "replace"),
            "api_root": f"{self.base_url}api/gateway",
        }
        text = _templates.get_template(template).render(**shared, **values)
        self.finish(text, set_content_type="text/html; charset=UTF-8")


class Page(PageHandler):
    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.page("sessions.html.j2", **await self.cards())


class Cards(PageHandler):
    _track_activity = False

    @guarded
    async def get(self) -> None:
        self.page("cards.html.j2", **await self.cards())


class AuditPage(PageHandler):
    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        try:
            folder = self.session(name)
        except GatewayError as error:
            raise web.HTTPError(404, error.message) from None
        lines = await asyncio.to_thread(lambda: list(audit.read(folder.internals / "audit.jsonl"))[-_AUDIT_LINES:])
        self.page("audit.html.j2", session=folder.id, rows=audit_rows(lines))


class PageEvents(OverviewHandler):
    """One stream for all: that the list changed, and questions of every session that may ask."""

    _track_activity = False

    @guarded
    async def get(self) -> None:
        watch = Watching(self.store, self.settings.setdefault("cell_gateway_overview", Overview()))
        task = asyncio.create_task(watch.run())
        try:
            await self.write_events(watch.events)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class Watching:
    """While it runs, the one who has the page open is somebody who can answer."""

    def __init__(self, store: SessionStore, overview: Overview) -> None:
        self.events = Events()
        self._store, self._overview = store, overview
        self._attending: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        before: Any = None
        try:
            while True:
                folders = await asyncio.to_thread(lambda: list(self._store))
                rows = await self._overview.rows(folders)
                self._attend({r["id"] for r in rows if r["state"] != "stopped" and r["egress"] == "ask"})
                if rows != before:
                    before = rows
                    self.events.put("changed", {"sessions": len(rows)})
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            for task in self._attending.values():
                task.cancel()
            await asyncio.gather(*self._attending.values(), return_exceptions=True)

    def _attend(self, wanted: set[str]) -> None:
        self._attending = {k: t for k, t in self._attending.items() if not t.done()}
        for name in wanted - self._attending.keys():
            self._attending[name] = asyncio.create_task(self._listen(SessionFolder(self._store.root / name)))

    async def _listen(self, folder: SessionFolder) -> None:
        try:
            async with connect(folder, start=False) as client:
                await client.questions(lambda found: self.events.put(found["event"], {**found, "session": folder.id}))
        except GatewayError:
            return


class Static(GatewayHandler):
    """Style and script; nothing secret is in them."""

    _track_activity = False

    @allow_unauthenticated
    async def get(self, name: str) -> None:
        if name not in _STATIC:
            raise web.HTTPError(404)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-cache")
        self.finish((_HERE / "static" / name).read_bytes(), set_content_type=_STATIC[name])


handlers: list[tuple[Any, ...]] = [
    (r"/cell-gateway/?", Page),
    (r"/cell-gateway/cards", Cards),
    (r"/cell-gateway/events", PageEvents),
    (r"/cell-gateway/static/([a-z.]+)", Static),
    (r"/cell-gateway/sessions/(?P<name>[^/]+)/audit", AuditPage),
]
