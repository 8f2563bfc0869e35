"""What is told of a session: one row each, from its journal, its folders and its supervisor."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...egress.state import EgressState
from ...errors import GatewayError
from ...journal import Record, read
from ...session.folder import SessionFolder
from ...session.lifetime import last_used
from ...session.policy import Policy
from ...session.usage import usage_of
from ...supervisor.client import connect

_TITLE = 80
PICTURE = re.compile(r"[A-Za-z0-9._-]{1,100}\.(png|jpe?g|gif|webp)")
Stamp = tuple[int, int]


class Overview:
    """Rows of sessions; what is slow to find is kept until the journal grows."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Stamp, dict[str, Any]]] = {}

    async def rows(self, folders: list[SessionFolder]) -> list[dict[str, Any]]:
        found = await asyncio.gather(*(self._row(f) for f in folders))
        return [row for row in found if row is not None]

    async def _row(self, folder: SessionFolder) -> dict[str, Any] | None:
        try:
            stored = folder.read()
            live = await _live(folder)
            slow = await asyncio.to_thread(self._slow, folder, stored)
            used = datetime.fromtimestamp(last_used(folder), timezone.utc).isoformat(timespec="seconds")
        except (GatewayError, OSError):
            # It is just being deleted.
            return None
        own = {"id": folder.id, "created": stored.get("created"), "last_activity": used, "engine": stored.get("engine")}
        limits = stored.get("policy", {})
        return {**own, "egress": limits.get("egress"), "model": stored.get("model"), **live, **slow, "limits": limits}

    def _slow(self, folder: SessionFolder, stored: dict[str, Any]) -> dict[str, Any]:
        stamp = _stamp(folder)
        kept = self._kept.get(str(folder.path))
        if kept is None or kept[0] != stamp:
            kept = (stamp, _from_disk(folder, stored))
            self._kept[str(folder.path)] = kept
        return kept[1]


def _stamp(folder: SessionFolder) -> Stamp:
    try:
        status = folder.journal.stat()
    except FileNotFoundError:
        return (0, 0)
    others = [p.stat().st_mtime_ns for p in (folder.pictures, folder.internals / "egress.json") if p.exists()]
    return (status.st_mtime_ns + sum(others), status.st_size)


async def _live(folder: SessionFolder) -> dict[str, Any]:
    states = {"busy": "running", "frozen": "frozen"}
    try:
        async with connect(folder, start=False) as client:
            hello, stats = await asyncio.gather(client.hello(), client.stats())
    except GatewayError:
        return {"state": "stopped", "running": None, "memory_bytes": None}
    sandbox = stats.get("sandbox") or {}
    state = states.get(str(hello.get("state")), "idle")
    return {"state": state, "running": hello.get("running"), "memory_bytes": sandbox.get("memory_bytes")}


def _from_disk(folder: SessionFolder, stored: dict[str, Any]) -> dict[str, Any]:
    limit = Policy.from_json(stored.get("policy", {})).disk
    usage = usage_of([folder.path], limit * 2)
    cells = cells_of(records_of(folder))
    return {
        "title": _title(folder),
        "cells": len(cells),
        "failed": sum(c["exit"] not in ("ok", None) for c in cells),
        "disk_bytes": usage.size,
        "picture": last_picture(folder),
        "cut": EgressState.load(folder.internals / "egress.json").is_cut,
    }


def records_of(folder: SessionFolder) -> list[Record]:
    """A journal of a newer version is no reason not to list the others."""
    try:
        return read(folder.journal).records
    except (GatewayError, FileNotFoundError):
        return []


def _title(folder: SessionFolder) -> str:
    """The first prompt, else the first line of the first cell that somebody wrote."""
    records = records_of(folder)
    texts = [r["text"] for r in records if r["kind"] == "prompt"]
    texts += [
        r["source"]
        for r in records
        if r["kind"] == "start" and not r.get("hidden") and "kernel-gateway-setup" not in r.get("tags", ())
    ]
    lines = [line.strip() for text in texts[:1] if isinstance(text, str) for line in text.strip().splitlines()]
    found = next((line for line in lines if line.strip("# ") and not line.startswith("%%")), "")
    return found.lstrip("# ")[:_TITLE]


def cells_of(records: list[Record]) -> list[dict[str, Any]]:
    """Each cell's last run, in the order of the notebook, without the setup cells."""
    cells: dict[str, dict[str, Any]] = {}
    runs: dict[str, str] = {}
    for r in records:
        if r["kind"] == "start" and not r.get("hidden") and "kernel-gateway-setup" not in r.get("tags", ()):
            runs[r["run"]] = r["cell"]
            source = r["source"] if isinstance(r["source"], str) else "(long source)"
            told = {k: r.get(k) for k in ("cell", "run", "tool", "author", "turn")}
            cells[r["cell"]] = {**told, "source": source, "exit": None, "duration": None}
        elif r["kind"] == "end" and r["run"] in runs:
            cells[runs[r["run"]]] |= {"exit": r["exit"], "duration": r.get("duration")}
    return list(cells.values())


def last_picture(folder: SessionFolder) -> str | None:
    """The name of the newest picture that a cell showed, in ``pictures/``."""
    names = [p.name for p in _listed(folder.pictures) if PICTURE.fullmatch(p.name)]
    return max(names, key=lambda n: [int(d) for d in re.findall(r"\d+", n)], default=None)


def _listed(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError:
        return []
