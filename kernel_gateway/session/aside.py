"""A session's files set aside while its cells run again: the replay starts from the inputs alone, and the files of today win at the end.

What the replay makes again byte for byte stays as the kernel made it, so that what it holds open is what a person sees.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ..errors import GatewayError
from .beneath import FILE_FLAGS, FOLDER_FLAGS, delete_tree, open_beneath, opened_folder, walk
from .folder import SessionFolder

# Where mounts are shown: it is neither moved nor replaced.
_MOUNTS = "inputs"


def place_of(folder: SessionFolder) -> Path:
    return folder.internals / "aside"


def set_aside(folder: SessionFolder) -> None:
    """Move all that lies in the workspace of a stopped session. Raises GatewayError when something cannot be moved; all is back then."""
    aside = place_of(folder)
    aside.mkdir(mode=0o700)
    try:
        for name in _names(folder.workspace):
            if not (name == _MOUNTS and folder.read().get("mounts")):
                (folder.workspace / name).rename(aside / name)
    except OSError as error:
        put_back(folder)
        raise GatewayError(
            f"The session's files cannot be set aside: {error.strerror}.", "Resume without variables: --replay files"
        ) from error


def put_back(folder: SessionFolder) -> list[str]:
    """Bring the files back that were set aside; the names of those that the replay had made otherwise, or besides. Safe to repeat."""
    aside, trash = place_of(folder), folder.internals / "aside-replaced"
    if not aside.is_dir():
        delete_tree(trash)
        return []
    trash.mkdir(mode=0o700, exist_ok=True)
    kept = set(_names(aside))
    differing: list[str] = []
    for name in sorted({*kept, *_names(folder.workspace)}):
        now = folder.workspace / name
        if name == _MOUNTS and name not in kept:
            continue
        if name in kept and _tree(folder.workspace, name) == _tree(aside, name):
            continue
        if os.path.lexists(now):
            differing.append(name)
            now.rename(trash / name)
        if name in kept:
            (aside / name).rename(now)
    delete_tree(aside)
    delete_tree(trash)
    return differing


def _names(folder: Path) -> list[str]:
    with opened_folder(folder) as fd:
        return sorted(os.listdir(fd))  # noqa: PTH208  a descriptor, not a path


def _tree(root: Path, name: str) -> list[tuple[str, str, str]] | None:
    """Path, kind and content of all that lies there; None: not there, or nothing that can be compared, which equals nothing."""
    with opened_folder(root) as top:
        try:
            fd = open_beneath(top, (name,), FILE_FLAGS)
        except OSError:
            return [("", "none", os.urandom(8).hex())]
        try:
            if not os.path.isdir(f"/proc/self/fd/{fd}"):  # noqa: PTH112
                return [("", "file", _digest(fd))]
        finally:
            os.close(fd)
        below = open_beneath(top, (name,), FOLDER_FLAGS)
        try:
            return sorted((e.path, e.kind, _content(below, e.path, e.kind)) for e in walk(below))
        finally:
            os.close(below)


def _content(root: int, path: str, kind: str) -> str:
    if kind == "folder":
        return ""
    if kind != "file":
        return os.urandom(8).hex()
    try:
        fd = open_beneath(root, path.split("/"), FILE_FLAGS)
    except OSError:
        return os.urandom(8).hex()
    try:
        return _digest(fd)
    finally:
        os.close(fd)


def _digest(fd: int) -> str:
    digest = hashlib.sha256()
    while data := os.read(fd, 1024**2):
        digest.update(data)
    return digest.hexdigest()
