"""The network of a session: allow, cut, what was asked of it, and questions with their answers."""

from __future__ import annotations

import asyncio
from itertools import islice

from ...egress import audit
from ...egress.hosts import host_name
from ...errors import SupervisorUnavailable
from ...session.folder import SessionFolder
from ...session.network import cut_off
from ...supervisor.client import SessionClient, connect
from .base import GatewayHandler, guarded
from .stream import Events, StreamHandler

# Lines of the audit in one answer, the newest.
AUDIT_LINES = 5000


class Allow(GatewayHandler):
    @guarded
    async def post(self, name: str) -> None:
        folder, body = self.session(name), self.body()
        host, mode = host_name(body["host"]), body.get("as", "gateway")
        methods = [m.upper() for m in body.get("methods", [])]
        async with connect(folder) as client:
            self.send({"rule": await client.allow(host, mode, methods, by=self.person)})


class Cut(GatewayHandler):
    @guarded
    async def post(self, name: str) -> None:
        folder, undo = self.session(name), bool(self.body().get("undo"))
        await cut_off(folder, by=self.person, undo=undo)
        self.send({"id": folder.id, "cut": not undo})


class Audit(GatewayHandler):
    @guarded
    async def get(self, name: str) -> None:
        folder, denied = self.session(name), self.flag("denied")
        self.send({"requests": await asyncio.to_thread(_lines, folder, denied)})


def _lines(folder: SessionFolder, denied: bool) -> list[dict[str, object]]:
    found = [r for r in audit.read(folder.internals / "audit.jsonl") if not denied or r.get("verdict") == "deny"]
    return list(islice(found, max(0, len(found) - AUDIT_LINES), None))


class Questions(StreamHandler):
    """While somebody reads this, code's questions wait for an answer; while nobody does, the answer is no."""

    @guarded
    async def get(self, name: str) -> None:
        folder, events = self.session(name), Events()
        async with connect(folder, start=False) as client:
            asking = asyncio.create_task(_listen(client, events))
            try:
                await self.write_events(events)
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)


async def _listen(client: SessionClient, events: Events) -> None:
    try:
        await client.questions(lambda found: events.put(found["event"], found))
    except SupervisorUnavailable:
        events.end()


class Answer(GatewayHandler):
    @guarded
    async def post(self, name: str, question: str) -> None:
        folder, allow = self.session(name), bool(self.body()["allow"])
        async with connect(folder, start=False) as client:
            taken = await client.answer(question, allow=allow, by=self.person)
        self.send({"question": question, "allow": allow, "taken": taken})
