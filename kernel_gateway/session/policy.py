"""What a session may use. Written into ``session.json`` when it is made, told to the model as it is."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from typing import Any

GB = 1024**3


def _half_of_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


@dataclass(frozen=True)
class Policy:
    """Bytes, seconds and counts; see docs/configuration.md for each."""

    memory: int = 9 * GB
    processes: int = 256
    cpus: float = 2.0
    disk: int = 5 * GB
    upload: int = 2 * GB
    # A model's cell: interrupted, then killed, after so many seconds. A person's cells have no limit.
    cell_timeout: float = 300.0
    cell_timeout_max: float = 3600.0
    # Bytes of one cell's stream output in the notebook, and whole under outputs/.
    output_kept: int = 10 * 1024**2
    output_whole: int = 1 * GB
    # none, registries, list or ask; see docs/egress.md. In the last a request waits so many seconds for a person.
    egress: str = "registries"
    ask_timeout: float = 60.0
    # Without a cell or a busy background process: frozen, and stopped, after so many seconds; 0: never.
    idle_freeze: float = 30 * 60.0
    idle_stop: float = 24 * 3600.0

    @classmethod
    def default(cls) -> Policy:
        return cls(memory=min(9 * GB, _half_of_memory()))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Policy:
        """Unknown keys are ignored, missing ones take the default: older sessions stay readable."""
        known = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in values.items() if k in known})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
