"""Sessions: made, listed, shown, ended."""

from __future__ import annotations

import asyncio
from typing import Any

from ...config import SETTINGS, Settings, load_settings
from ...errors import BadRequest
from ...session.folder import SessionFolder
from ...session.lifetime import delete_session, stop_session
from ...session.opening import create
from ...session.policy import Policy
from ...supervisor.client import connect
from .base import GatewayHandler, guarded
from .overview import Overview, cells_of, records_of
from .stream import Events, StreamHandler
from .waking import awake, bring_back, cost_of_waking

# How often the list is looked at while somebody watches it; it is sent only when it changed.
_LOOK_SECONDS = 1.5


def chosen(settings: Settings, body: dict[str, Any]) -> Settings:
    """The server's settings with what a request asks for its own session. Raises BadRequest."""
    flags = {k: body.get(k) for k in ("engine", "image", "model")} | {"limits.egress": body.get("egress")}
    for name, value in body.get("limits", {}).items():
        if name not in Policy.__dataclass_fields__:
            raise BadRequest(
                f"limits.{name} is no limit.", f"There are: {', '.join(sorted(Policy.__dataclass_fields__))}."
            )
        key = name.replace("_", ".", 1) if name.startswith("idle_") else f"limits.{name}"
        flags[key] = value if key in SETTINGS else None
    mine = {k: settings[k] for k in ("engine", "image", "model") if flags[k] is None}
    return load_settings({**{k: v for k, v in flags.items() if v is not None}, **mine})


class OverviewHandler(StreamHandler):
    @property
    def overview(self) -> Overview:
        found: Overview = self.settings.setdefault("cell_gateway_overview", Overview())
        return found

    async def rows(self, folders: list[SessionFolder]) -> list[dict[str, Any]]:
        return await self.overview.rows(folders)


class Sessions(OverviewHandler):
    @guarded
    async def get(self) -> None:
        folders = await asyncio.to_thread(lambda: list(self.store))
        self.send({"sessions": await self.rows(folders)})

    @guarded
    async def post(self) -> None:
        body = self.body()
        settings = chosen(self.gateway_settings, body)
        folder = await create(settings, body.get("name"))
        inputs = body.get("inputs", [])
        if inputs:
            from .files import put_text

            async with connect(folder) as client:
                for given in inputs:
                    await put_text(client, given["path"], given["content"], given.get("encoding", "text"))
        else:
            async with connect(folder):
                pass
        self.set_header("Location", f"{self.base_url}api/gateway/sessions/{folder.id}")
        self.send((await self.rows([folder]))[0], 201)


class Watch(OverviewHandler):
    """The list of sessions as events, whenever it changes."""

    _track_activity = False

    @guarded
    async def get(self) -> None:
        events = Events()
        look = asyncio.create_task(self._look(events))
        try:
            await self.write_events(events)
        finally:
            look.cancel()

    async def _look(self, events: Events) -> None:
        before: Any = None
        while True:
            folders = await asyncio.to_thread(lambda: list(self.store))
            rows = await self.rows(folders)
            if rows != before:
                before = rows
                events.put("sessions", {"sessions": rows})
            await asyncio.sleep(_LOOK_SECONDS)


class Session(OverviewHandler):
    @guarded
    async def get(self, name: str) -> None:
        folder = self.session(name)
        rows = await self.rows([folder])
        cells = await asyncio.to_thread(lambda: cells_of(records_of(folder)))
        self.send({**rows[0], "cell_list": cells, "notebook": str(folder.notebook)})

    @guarded
    async def delete(self, name: str) -> None:
        await delete_session(self.session(name))
        self.set_status(204)
        self.finish()


class Stop(GatewayHandler):
    @guarded
    async def post(self, name: str) -> None:
        self.body()
        folder = self.session(name)
        self.send({"id": folder.id, "was_running": await stop_session(folder)})


class Resume(GatewayHandler):
    @guarded
    async def get(self, name: str) -> None:
        self.send({"id": name, **await cost_of_waking(self.session(name))})

    @guarded
    async def post(self, name: str) -> None:
        folder, replay = self.session(name), self.body().get("replay", "auto")
        found = await bring_back(self.gateway_settings, folder, replay)
        async with awake(self.gateway_settings, folder, "files") as client:
            hello = await client.hello()
        self.send({"id": folder.id, "state": hello.get("state"), "replay": found})


class Fork(GatewayHandler):
    @guarded
    async def post(self, name: str) -> None:
        from ...replay.carry import carried, carry
        from ...replay.plan import plan
        from ...replay.rerun import changed, rerun, unrestored

        folder, body = self.session(name), self.body()
        planned = await asyncio.to_thread(plan, self.gateway_settings, folder)
        wanted = changed(planned.recording, {}, {}, str(body["at"]))
        async with planned.fresh.kept(body.get("name"), planned.recording.origin()) as client:
            found = await rerun(wanted, client, mounted=planned.fresh.mounts)
            lost = [*found.placed.notices, *unrestored(planned.recording, found)]
            stands = [s.cell for s in found.steps if s is not found.failed]
            what = carried(folder, wanted.until if found.failed is None else (stands[-1] if stands else None))
            number = stands[-1].number if stands else 0
            words = f"This session is a fork of {folder.id}: it stands where that one stood after its cell {number}, replayed."
            await carry(what, client, " ".join([words, *(f"Not restored: {line}" for line in lost)]))
            await client.notebook()
            made = client.folder.id
        told = {**found.to_json(), "not_restored": lost, "messages": what.messages}
        self.send({"id": made, "from": folder.id, "at": str(body["at"]), **told}, 201)
