"""The hosts that a session's code reached, for the notebook's metadata."""

from __future__ import annotations

from typing import Any

from ..journal import Record
from .outputs import mapping, sequence, text
from .render import count_bytes

_MOST_HOSTS = 500


class EgressSums:
    """Adds up ``egress`` records: requests and bytes by host and by how it was reached; and how many were denied."""

    def __init__(self) -> None:
        self._hosts: dict[tuple[str, str], list[int]] = {}
        self._denied = 0

    def add(self, record: Record) -> None:
        self._denied += count_bytes(record.get("denied"))
        for entry in map(mapping, sequence(record.get("hosts"))):
            place = text(entry.get("host") or ""), text(entry.get("mode") or "")
            if place in self._hosts or len(self._hosts) < _MOST_HOSTS:
                sums = self._hosts.setdefault(place, [0, 0, 0])
                for i, name in enumerate(("requests", "up", "down")):
                    sums[i] += count_bytes(entry.get(name))

    def metadata(self) -> dict[str, Any]:
        """The key ``egress``; nothing when code never used the network."""
        if not self._hosts and not self._denied:
            return {}
        hosts = [
            {"host": host, "mode": mode, "requests": sums[0], "bytes_up": sums[1], "bytes_down": sums[2]}
            for (host, mode), sums in sorted(self._hosts.items())
        ]
        return {"egress": {"hosts": hosts, "denied": self._denied}}
