"""Sizes and times as a person reads them."""

from __future__ import annotations

from datetime import datetime, timezone


def shown_size(size: float) -> str:
    """``1.5 GB``; units of 1024."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if abs(size) < 1024:
            return f"{size:,.0f} {unit}" if unit == "bytes" or size == int(size) else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TB"


def shown_age(then: float, now: float) -> str:
    """``3 min ago``; older than a day, the date (UTC)."""
    seconds = max(0.0, now - then)
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min ago"
    if seconds < 86400:
        return f"{seconds // 3600:.0f} h ago"
    return datetime.fromtimestamp(then, timezone.utc).strftime("%Y-%m-%d")
