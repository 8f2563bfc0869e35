"""``audit.jsonl``: one line a request that a sandbox made, and one for each word of a person about it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ..journal import now

# Beyond this nothing passes: what cannot be written down does not happen.
AUDIT_LIMIT = 256 * 1024 * 1024
PATH_LIMIT = 300


class AuditFull(Exception):
    """The session's audit has reached its limit."""


@dataclass
class Entry:
    """One request. ``up`` and ``down`` are bytes of bodies, of a tunnel all bytes; ``run`` the one active when it came."""

    host: str
    method: str
    path: str
    mode: str
    verdict: str = "allow"
    rule: str = ""
    port: int | None = None
    query_bytes: int = 0
    run: str | None = None
    # When no run was active: the last one before it.
    after: str | None = None
    cell: str | None = None
    status: int | None = None
    up: int = 0
    down: int = 0
    # Who allowed or denied it, when it was asked.
    by: str | None = None
    # Of a registry's file that was passed on whole, hex.
    sha256: str | None = None
    time: str = field(default_factory=now)

    def to_json(self) -> dict[str, Any]:
        values = {k: v for k, v in self.__dict__.items() if v is not None}
        values["path"], values["host"] = _short(self.path), _short(self.host)
        return values


def _short(text: str) -> str:
    return text if len(text) <= PATH_LIMIT else f"{text[:PATH_LIMIT]}… ({len(text):,} characters)"


def append(path: Path, record: dict[str, Any]) -> None:
    """One line, whole or not at all. Raises AuditFull, and OSError when it cannot be written."""
    line = orjson.dumps(record, default=str) + b"\n"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        size = os.fstat(fd).st_size
        if size + len(line) > AUDIT_LIMIT:
            raise AuditFull
        written = os.write(fd, line)
        if written != len(line):
            os.ftruncate(fd, size)
            raise OSError("the disk is full")
    finally:
        os.close(fd)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """All whole lines, oldest first; nothing when there is no audit yet."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                yield found
