"""A session as one zip that a colleague can go on with: notebook, inputs, results, lock, and a README that says how.

``notebook.ipynb`` lies at the top and its inputs in ``workspace/`` as they were given, so that a run from top to bottom starts where the
session started. What cells made is under ``outputs/``, where a re-run does not meet it.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from ..errors import BadRequest, NotFound, UnsafePath
from ..image.pylock import read_pylock
from . import readme
from .kept import KeptFile, kept_files
from .opening import Opened
from .rocrate import Packed, crate
from .write import serialize

NOTEBOOK, LOCK, REQUIREMENTS = "notebook.ipynb", "pylock.toml", "requirements.txt"
_CHUNK = 1024**2
# Nothing of the machine or the hour is in it: the same session gives the same bytes.
_WHEN = (1980, 1, 1, 0, 0, 0)


@dataclass
class Bundle:
    """What went into the zip, and what could not."""

    packed: list[Packed] = field(default_factory=list[Packed])
    notices: list[str] = field(default_factory=list[str])


def write_bundle(opened: Opened, target: Path) -> Bundle:
    """Write the zip to ``target``, a file that may be replaced."""
    bundle = Bundle()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6, strict_timestamps=False) as archive:
        files = kept_files(opened.notebook, opened.places())
        named = _names(files)
        content = serialize(_with_links(opened.notebook, named))
        _add(archive, bundle, NOTEBOOK, content, "notebook")
        for file in files:
            _add_file(archive, bundle, file, named.get((file.role, file.path)))
        _add_environment(archive, bundle, opened)
        text = readme.readme(opened, bundle.packed, bundle.notices)
        _add(archive, bundle, "README.md", text.encode(), "readme")
        metadata = crate(opened, bundle.packed)
        _add(archive, bundle, "ro-crate-metadata.json", json.dumps(metadata, indent=2).encode() + b"\n", "metadata")
    return bundle


def _names(files: Iterable[KeptFile]) -> dict[tuple[str, str], str]:
    """The place of each file in the zip; none where there is no file or no safe name for it."""
    found: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    for file in files:
        parts = PurePosixPath(file.path).parts
        if file.missing or not parts or ".." in parts or file.path.startswith("/"):
            continue
        name = "/".join(("workspace" if file.role == "input" else "outputs", *parts))
        if name in taken:
            name = "/".join(("outputs", file.role, *parts))
        taken.add(name)
        found[file.role, file.path] = name
    return found


def _with_links(notebook: Mapping[str, Any], named: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """The notebook with its links to made files pointing to where they lie in the zip."""
    moved = {
        f"](workspace/{quote(path)})": f"]({quote(name)})"
        for (role, path), name in named.items()
        if role in ("made", "other")
    }

    def linked(cell: dict[str, Any]) -> dict[str, Any]:
        source = str(cell["source"])
        if cell["cell_type"] != "markdown" or "](workspace/" not in source:
            return cell
        for before, after in moved.items():
            source = source.replace(before, after)
        return {**cell, "source": source}

    return {**notebook, "cells": [linked(c) for c in notebook["cells"]]}


def _add(archive: zipfile.ZipFile, bundle: Bundle, name: str, content: bytes, role: str) -> None:
    archive.writestr(_member(name), content)
    bundle.packed.append(Packed(name, role, len(content), hashlib.sha256(content).hexdigest()))


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _WHEN)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o100644 << 16
    return member


def _add_file(archive: zipfile.ZipFile, bundle: Bundle, file: KeptFile, name: str | None) -> None:
    if name is None:
        bundle.notices.append(f"{file.path} is not in the zip: {file.missing or 'its name is no path in a workspace.'}")
        return
    digest, size = hashlib.sha256(), 0
    try:
        with file.opened() as source, archive.open(_member(name), "w", force_zip64=file.size > 2**31) as member:
            while data := source.read(_CHUNK):
                digest.update(data)
                size += len(data)
                member.write(data)
    except (NotFound, UnsafePath, OSError) as error:
        bundle.notices.append(f"{file.path} is not in the zip: {error}")
        return
    if file.changed:
        bundle.notices.append(f"{file.path} has changed since it was recorded; it is here as it is now.")
    bundle.packed.append(Packed(name, file.role, size, digest.hexdigest(), file.path))


def _add_environment(archive: zipfile.ZipFile, bundle: Bundle, opened: Opened) -> None:
    if not opened.lock:
        return
    try:
        pinned = read_pylock(opened.lock)
    except BadRequest as error:
        bundle.notices.append(f"The environment's lock is left out: {error}")
        return
    lines = [f"{p.name}=={p.version}{''.join(f' --hash=sha256:{h}' for h in p.sha256)}" for p in pinned]
    _add(archive, bundle, LOCK, opened.lock.encode(), "lock")
    _add(archive, bundle, REQUIREMENTS, ("\n".join(lines) + "\n").encode(), "lock")
