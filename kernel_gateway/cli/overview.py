"""What ``sessions list`` and ``sessions show`` print."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import datetime, timezone
from typing import Any

from ..config import load_settings
from ..errors import GatewayError
from ..journal import BlobStore, Record, read
from ..session.folder import SessionFolder, SessionStore
from ..session.lifetime import Standing, last_used, standing_of
from ..sizes import shown_age, shown_size
from ..terminal import escape_name
from .say import print_table, say_data

RECENT = 20
SHOWN_CELLS = 30
_TITLE = 60


async def print_list(*, show_all: bool, as_json: bool) -> None:
    folders = list(SessionStore(load_settings().data))
    shown = folders if show_all else folders[:RECENT]
    standings = await asyncio.gather(*(standing_of(f) for f in shown))
    rows = [_row(folder, standing) for folder, standing in zip(shown, standings, strict=True)]
    if as_json:
        say_data(rows)
        return
    if not rows:
        print("There is no session yet. Make one: cell-gateway run -   or: cell-gateway demo")
        return
    _print_rows(rows)
    if len(folders) > len(shown):
        print(f"and {len(folders) - len(shown)} more: cell-gateway sessions list --all")


def _row(folder: SessionFolder, standing: Standing) -> dict[str, Any]:
    records = _records(folder)
    return {
        "session": folder.id,
        "state": standing.state,
        "used": datetime.fromtimestamp(last_used(folder), timezone.utc).isoformat(timespec="seconds"),
        "cells": len({r["cell"] for r in records if r["kind"] == "start" and not r.get("hidden")}),
        "title": _title(records),
        "notebook": str(folder.notebook),
    }


def _records(folder: SessionFolder) -> list[Record]:
    """A journal of a newer version is no reason not to list the others."""
    try:
        return read(folder.journal).records
    except GatewayError:
        return []


def _title(records: list[Record]) -> str:
    """The first prompt, else the first line of the first cell."""
    texts = [r["text"] for r in records if r["kind"] == "prompt"]
    texts += [
        r["source"] for r in records if r["kind"] == "start" and r.get("author") == "person" and not r.get("hidden")
    ]
    lines = [line for text in texts[:1] if isinstance(text, str) for line in text.strip().splitlines()]
    return next((line for line in lines if not line.startswith("%%")), "")[:_TITLE]


def _print_rows(rows: list[dict[str, Any]]) -> None:
    now = time.time()
    lines = [
        (
            row["session"],
            row["state"],
            shown_age(datetime.fromisoformat(row["used"]).timestamp(), now),
            str(row["cells"]),
            escape_name(row["title"]),
        )
        for row in rows
    ]
    print_table(("session", "state", "used", "cells", "begins with"), lines)


async def print_session(name: str, *, as_json: bool) -> None:
    folder = SessionStore(load_settings().data).find(name)
    standing = await standing_of(folder)
    records = _records(folder)
    cells = _as_edited(folder, records, _cells(records))
    described = {
        **folder.read(),
        **_row(folder, standing),
        "kernel": standing.hello,
        "isolation": _isolation(records),
        "cells": cells,
    }
    if as_json:
        say_data(described)
        return
    _print_description(folder, described)
    _print_cells(cells)


def _isolation(records: list[Record]) -> dict[str, str]:
    return next((r["isolation"] for r in reversed(records) if r["kind"] == "kernel" and r.get("isolation")), {})


def _cells(records: list[Record]) -> list[dict[str, Any]]:
    """Each cell's last run, in the order of the notebook."""
    cells: dict[str, dict[str, Any]] = {}
    runs: dict[str, str] = {}
    for r in records:
        if r["kind"] == "start" and not r.get("hidden"):
            runs[r["run"]] = r["cell"]
            source = r["source"] if isinstance(r["source"], str) else "(long source)"
            cells[r["cell"]] = {
                "cell": r["cell"],
                "tool": r.get("tool"),
                "author": r.get("author"),
                "exit": None,
                "source": source,
            }
        elif r["kind"] == "end" and r["run"] in runs:
            cells[runs[r["run"]]] |= {"exit": r["exit"], "duration": r.get("duration")}
    return list(cells.values())


def _as_edited(folder: SessionFolder, records: list[Record], ran: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As a person left the notebook: without deleted cells, and with those that wait to be run."""
    if not any(r["kind"] == "edit" for r in records):
        return ran
    # It takes long to import.
    from ..notebook.build import fold

    known, found = {cell["cell"]: cell for cell in ran}, list[dict[str, Any]]()
    for cell in fold(records, BlobStore(folder.blobs))["cells"]:
        exit_ = cell["metadata"]["kernel_gateway"].get("exit")
        if exit_ == "unrun":
            told = {"cell": cell["id"], "tool": None, "author": "person", "exit": exit_}
            found.append({**told, "source": cell["source"]})
        elif cell["id"] in known and exit_ is not None:
            found.append({**known[cell["id"]], **({"source": cell["source"]} if cell["cell_type"] == "code" else {})})
    return found


def _print_description(folder: SessionFolder, described: dict[str, Any]) -> None:
    policy, isolation = described.get("policy", {}), described["isolation"]
    lines = {
        "session": described["session"],
        "state": described["state"],
        "created": described.get("created", ""),
        "engine": described.get("engine", ""),
        "image": f"{described.get('image', {}).get('name')} {str(described.get('image', {}).get('digest'))[:12]}",
        "limits": f"memory {shown_size(policy.get('memory', 0))}, {policy.get('processes')} processes, {policy.get('cpus'):g} CPUs,"
        f" disk {shown_size(policy.get('disk', 0))}, network {policy.get('egress')}",
        "isolation": ", ".join(f"{limit} {tier}" for limit, tier in isolation.items()) or "not started yet",
        "mounts": ", ".join(f"inputs/{m['name']} ({m['source']})" for m in described.get("mounts", [])) or "none",
        "notebook": str(folder.notebook),
        "workspace": str(folder.workspace),
        "log": str(folder.log),
    }
    for name, value in lines.items():
        print(f"{name:<10} {escape_name(str(value))}")


def _print_cells(cells: list[dict[str, Any]]) -> None:
    exits = Counter(cell["exit"] or "running" for cell in cells)
    print(
        f"{'cells':<10} {len(cells)} ({', '.join(f'{n} {kind}' for kind, n in exits.items())})"
        if cells
        else "cells      none"
    )
    for cell in cells[-SHOWN_CELLS:]:
        first = next((line for line in cell["source"].splitlines() if line.strip() and not line.startswith("%%")), "")
        took = f"{cell['duration']:.1f} s" if cell.get("duration") is not None else ""
        print(f"  {cell['exit'] or 'running':<11} {took:>9}  {cell['tool'] or '':<8} {escape_name(first[:_TITLE])}")
