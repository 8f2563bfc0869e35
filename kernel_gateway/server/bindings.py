"""Which kernel id is which session. A session has one from its first day, so that nothing is lost with a server."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..session.folder import SessionFolder, SessionStore, runtime_folder

_NAMESPACE = uuid.UUID("5b8cfd3e-65c2-4c43-9f5e-0d0a4f3f6c1b")


def _path(folder: SessionFolder) -> Path:
    return folder.internals / "kernel.json"


def _read(folder: SessionFolder) -> dict[str, Any]:
    try:
        found: Any = json.loads(_path(folder).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def kernel_id(folder: SessionFolder) -> str:
    """What a client chose, else one made of what never changes about the session."""
    values = folder.read()
    return str(_read(folder).get("id") or uuid.uuid5(_NAMESPACE, f"{values.get('session')} {values.get('created')}"))


def kernel_name(folder: SessionFolder) -> str:
    """The kernelspec it was started by."""
    return str(_read(folder).get("name") or "python3")


def bind(folder: SessionFolder, identity: str, name: str) -> None:
    """From now on, also after a restart of server and machine."""
    temporary = folder.internals / f".kernel.json.{os.getpid()}"
    temporary.write_text(json.dumps({"id": identity, "name": name}) + "\n")
    temporary.replace(_path(folder))


def bound(store: SessionStore, identity: str) -> SessionFolder | None:
    """The session of a kernel id, running or not."""
    return next((folder for folder in store if kernel_id(folder) == identity), None)


def running(store: SessionStore) -> Iterator[SessionFolder]:
    """Sessions that seem to have a supervisor."""
    for folder in store:
        try:
            if (runtime_folder(folder) / "control").exists():
                yield folder
        except OSError:
            # It was deleted just now.
            continue
