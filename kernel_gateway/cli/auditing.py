"""What ``sessions audit``, ``allow`` and ``cut`` do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..config import load_settings
from ..egress.audit import append, read
from ..egress.hosts import MEANINGS, MODES, host_name
from ..errors import BadRequest, SupervisorUnavailable
from ..journal import now
from ..session import network
from ..session.folder import SessionStore
from ..session.opening import owner_name
from ..session.policy import Policy
from ..sizes import shown_size
from ..supervisor.client import connect
from ..terminal import escape_name
from .say import print_table, say, say_data


def print_audit(session: str, *, denied: bool, as_json: bool) -> None:
    folder = SessionStore(load_settings().data).find(session)
    lines = [r for r in read(folder.internals / "audit.jsonl") if not denied or r.get("verdict") == "deny"]
    if as_json:
        say_data(lines)
    elif not lines:
        print("Nothing was asked of the network.")
    else:
        header = ("time", "cell", "verdict", "how", "host", "request", "up", "down", "rule")
        print_table(header, ([escape_name(cell) for cell in _row(line)] for line in lines))


def _row(line: dict[str, Any]) -> list[str]:
    """A request, or what a person said."""
    time = str(line.get("time", ""))[:19].replace("T", " ")
    cell = str(line.get("cell") or "")
    if "after" in line:
        cell = f"after {cell}"
    if "event" in line:
        by = f"by {line['by']}" if line.get("by") else ""
        return [time, cell, str(line["event"]), str(line.get("mode", "")), str(line.get("host", "")), "", "", "", by]
    request = f"{line.get('method', '')} {line.get('path', '')}".strip()
    if line.get("query_bytes"):
        request += f"?({line['query_bytes']} bytes)"
    verdict = str(line.get("verdict", "")) + (f" {line['status']}" if line.get("status") else "")
    sizes = [shown_size(int(line.get(k, 0))) for k in ("up", "down")]
    return [
        time,
        cell,
        verdict,
        str(line.get("mode", "")),
        str(line.get("host", "")),
        request,
        *sizes,
        str(line.get("rule")),
    ]


async def allow_host(session: str, host: str, mode: str, methods: Sequence[str]) -> None:
    folder = SessionStore(load_settings().data).find(session)
    name, methods = host_name(host), [m.upper() for m in methods]
    if mode not in MODES:
        raise BadRequest(f"A host is allowed as {' or '.join(MODES)}, not as {mode!r}.")
    if methods and mode == "tunnel":
        raise BadRequest("A tunnel shows no methods.", "Use --as gateway.")
    try:
        async with connect(folder, start=False) as client:
            await client.allow(name, mode, methods, by=owner_name())
    except SupervisorUnavailable:
        with network.stopped(folder) as state:
            if Policy.from_json(folder.read()["policy"]).egress == "none":
                raise BadRequest("This session was made without any network.", "Make a new one.") from None
            if state.is_cut:
                raise BadRequest(
                    f"{folder.id} is cut off.", f"First: cell-gateway sessions cut {folder.id} --undo"
                ) from None
            state.allow(name, mode, methods)
        event = {"event": "allow", "host": name, "mode": mode, "methods": methods, "by": owner_name()}
        append(folder.internals / "audit.jsonl", {"time": now(), **event})
    say(f"{folder.id} may reach {name} as {mode}: {MEANINGS[mode]}.")


async def cut_off(session: str, *, undo: bool) -> None:
    folder = SessionStore(load_settings().data).find(session)
    await network.cut_off(folder, by=owner_name(), undo=undo)
    if undo:
        say(f"{folder.id} has its network again, as before the cut.")
    else:
        say(f"{folder.id} is cut off: nothing passes. Undo it: cell-gateway sessions cut {folder.id} --undo")
