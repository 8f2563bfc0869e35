"""A new session on disk, ready for a supervisor; and what must be undone when it is deleted."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..config import Settings
from ..errors import BadRequest
from ..image.image import Image
from ..journal import now
from ..sandbox.users import allocate_uid, release_uid
from .beneath import delete_tree
from .folder import SessionFolder, SessionStore
from .mounts import MountRequest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def session_values(
    settings: Settings,
    *,
    image: Image,
    engine: str,
    mounts: Sequence[MountRequest] = (),
    model: str | None = None,
    owner: str,
) -> dict[str, Any]:
    """What ``session.json`` will hold, less the session's id and uid."""
    return {
        "created": now(),
        "version": __version__,
        "owner": owner,
        "policy": settings.policy.to_json(),
        "engine": engine,
        "image": {"name": image.name, "digest": image.digest},
        "uid": None,
        "mounts": [m.to_json() for m in mounts],
        "model": model,
    }


def check_name(name: str | None) -> None:
    """Raises BadRequest when it cannot be a session's."""
    if name is not None and (not _NAME.fullmatch(name) or name == "last"):
        raise BadRequest(f"{name!r} cannot be a session's name.", "Use letters, digits, dots, dashes and underscores.")


def create_session(data: Path, values: dict[str, Any], name: str | None = None) -> SessionFolder:
    """Make the folders and ``session.json``; under root with a uid of its own, which owns workspace and layer.

    Raises BadRequest when the name is taken or cannot be one; nothing is left behind then.
    """
    check_name(name)
    data.mkdir(parents=True, exist_ok=True, mode=0o711)
    folder = SessionStore(data).new(values, name)
    return _owned(folder)


def create_folder(folder: SessionFolder, values: dict[str, Any]) -> SessionFolder:
    """The same at a place of the caller's choice. Raises FileExistsError."""
    folder.create({"session": folder.id, **values})
    return _owned(folder)


def _owned(folder: SessionFolder) -> SessionFolder:
    try:
        _give_uid(folder)
    except BaseException:
        remove_session(folder)
        raise
    return folder


def _give_uid(folder: SessionFolder) -> None:
    """Code of a session that root starts runs as an unprivileged uid, which nobody else has."""
    if os.getuid() != 0:
        return
    uid = allocate_uid(folder.path)
    folder.write({**folder.read(), "uid": uid})
    for owned in (folder.workspace, folder.layer):
        os.chown(owned, uid, uid)
        owned.chmod(0o700)


def remove_session(folder: SessionFolder) -> None:
    """Delete everything of a session that has no supervisor; ``.session`` goes last, so that a second try finds it."""
    uid = folder.read().get("uid")
    for part in (folder.workspace, folder.layer, folder.outputs, folder.pictures):
        delete_tree(part)
    if uid is not None:
        release_uid(uid)
    delete_tree(folder.path)
