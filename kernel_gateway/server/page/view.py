"""What the page shows of a session, in words."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from ...sizes import shown_age, shown_size

STATES = {"running": "Running", "idle": "Ready", "frozen": "Asleep", "stopped": "Stopped"}


def card(row: dict[str, Any], api: str, lab: str | None) -> dict[str, Any]:
    """The facts of one card; ``api`` is the address of the session's routes, ``lab`` of its notebook in JupyterLab."""
    used = datetime.fromisoformat(row["last_activity"]).timestamp()
    facts = [f"{row['cells']} cell{'' if row['cells'] == 1 else 's'}", f"{shown_size(row['disk_bytes'])} on disk"]
    if row["memory_bytes"]:
        facts.insert(1, f"{shown_size(row['memory_bytes'])} memory")
    return {
        **row,
        "live": row["state"] != "stopped",
        "shown_state": STATES[row["state"]],
        "facts": facts,
        "age": shown_age(used, time.time()),
        "api": api,
        "open": lab or f"{api}/export?to=html&inline=1",
        "opens": "Open in JupyterLab" if lab else "Open",
        # One of a few quiet tints for a session without a picture, always the same.
        "tint": sum(map(ord, row["id"])) % 6,
    }


def summary(rows: list[dict[str, Any]]) -> str:
    """One line above the cards."""
    live = [r for r in rows if r["state"] != "stopped"]
    memory = sum(r["memory_bytes"] or 0 for r in live)
    parts = [f"{len(live)} live", f"{len(rows) - len(live)} stopped"]
    parts += [f"{shown_size(memory)} of memory"] if memory else []
    parts += [f"{shown_size(sum(r['disk_bytes'] for r in rows))} on disk"]
    return " · ".join(parts)


def audit_rows(lines: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The newest first: requests, and what people said about them."""
    return [_audit_row(line) for line in reversed(lines)]


def _audit_row(line: dict[str, Any]) -> dict[str, str]:
    when = str(line.get("time", ""))[:19].replace("T", " ")
    about = {"time": when, "host": str(line.get("host", "")), "cell": str(line.get("cell") or "")}
    if "event" in line:
        by = f"by {line['by']}" if line.get("by") else ""
        return {**about, "verdict": str(line["event"]), "request": by, "size": ""}
    request = f"{line.get('method', '')} {line.get('path', '')}".strip()
    sizes = f"{shown_size(int(line.get('up', 0)))} up, {shown_size(int(line.get('down', 0)))} down"
    return {**about, "verdict": str(line.get("verdict", "")), "request": request, "size": sizes}
