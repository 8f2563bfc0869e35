"""What a run changed of the session's Python packages, seen from outside; and the versions that a replayed run is held to.

Code inside may write what it likes into its layer: names found there are data, hashes are those of the files that the registry's
mirror passed on.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import NotFound, UnsafePath
from ..image.image import Image
from ..session.beneath import FOLDER_FLAGS, open_beneath, opened_folder
from ..session.folder import SessionFolder

# Beyond these a list says how many more there are.
MOST_PACKAGES = 500
_MOST_ENTRIES = 20_000
_AUDIT_BYTES = 8 * 1024 * 1024
_INSTALLED = re.compile(r"([A-Za-z0-9_.]{1,100})-([0-9A-Za-z][0-9A-Za-z.!+_]{0,63})\.dist-info")
_PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}==[0-9A-Za-z][0-9A-Za-z.!+_-]{0,63}")
_PIP_SETTINGS = "[install]\nconstraint = /run/egress/constraints.txt\n"

Versions = Mapping[str, str]


def normal(name: str) -> str:
    """A project's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Packages:
    """The packages that pip has put into the session's own environment, before a run and after it."""

    def __init__(self, image: Image, egress: Path) -> None:
        self._image = {normal(name): version for name, version in image.packages.items()}
        self._place = ("venv", "lib", image.python_name, "site-packages")
        self._egress = egress
        self._stamp: tuple[int, int, int] | None = None
        self._known: Versions = {}

    def began(self, folder: SessionFolder, pins: Sequence[str] = ()) -> None:
        """Before the kernel gets a run. ``pins`` (``name==version``) hold for pip until the end of it, whatever asks for it."""
        self._look(folder)
        valid = [pin for pin in pins if _PIN.fullmatch(pin)]
        if valid:
            (self._egress / "constraints.txt").write_text("\n".join(valid) + "\n")
            (self._egress / "pip.conf").write_text(_PIP_SETTINGS)

    def ended(self) -> None:
        """After a run: pip is free again."""
        for name in ("pip.conf", "constraints.txt"):
            (self._egress / name).unlink(missing_ok=True)

    def delta(self, folder: SessionFolder) -> dict[str, Any] | None:
        """What is otherwise than before the run; None when nothing is.

        ``installed`` [{name, version, from (what it replaced), file, sha256 (None: not from the registry's mirror, so not known)}],
        ``removed`` [{name, version}], ``more`` when there are too many to name.
        """
        before = self._known
        now = self._look(folder)
        new = sorted(name for name, version in now.items() if before.get(name) != version)
        gone = sorted(name for name in before if name not in now)
        if not new and not gone:
            return None
        served = _served(folder.internals / "audit.jsonl")
        installed = [self._installed(name, now[name], before, served) for name in new[:MOST_PACKAGES]]
        removed = [{"name": name, "version": before[name]} for name in gone[:MOST_PACKAGES]]
        more = len(new) + len(gone) - len(installed) - len(removed)
        return {"installed": installed, "removed": removed, **({"more": more} if more else {})}

    def _installed(
        self, name: str, version: str, before: Versions, served: Mapping[tuple[str, str], tuple[str, str]]
    ) -> dict[str, Any]:
        replaced = before.get(name) or self._image.get(name)
        file, sha256 = served.get((name, version), (None, None))
        found = {"name": name, "version": version, "from": replaced, "file": file}
        return {**{k: v for k, v in found.items() if v is not None}, "sha256": sha256}

    def _look(self, folder: SessionFolder) -> Versions:
        """Versions by name as they are now. The folder is read only when it changed, which its ctime cannot hide."""
        try:
            with opened_folder(folder.layer) as layer:
                fd = open_beneath(layer, self._place, FOLDER_FLAGS)
        except (OSError, NotFound, UnsafePath):
            # It is not made yet, or code inside has put something else there.
            self._stamp, self._known = None, {}
            return self._known
        try:
            status = os.fstat(fd)
            stamp = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
            if stamp != self._stamp:
                self._stamp, self._known = stamp, _versions(fd)
        finally:
            os.close(fd)
        return self._known


def _versions(fd: int) -> dict[str, str]:
    found: dict[str, str] = {}
    with os.scandir(fd) as entries:
        for entry, _ in zip(entries, range(_MOST_ENTRIES), strict=False):
            if match := _INSTALLED.fullmatch(entry.name):
                found[normal(match[1])] = match[2]
    return found


def _served(audit: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """File name and SHA-256 of each distribution that the mirror passed on whole, by name and version; of one asked for twice, the last."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    try:
        with audit.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _AUDIT_BYTES))
            lines = [line for line in file if b'"sha256"' in line]
    except FileNotFoundError:
        return found
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            # The first of them may be half of one.
            continue
        file_name = str(entry.get("path", "")).rpartition("/")[2]
        if (what := distribution(file_name)) is not None:
            found[what] = (file_name, str(entry["sha256"]))
    return found


def distribution(file: str) -> tuple[str, str] | None:
    """Name and version of a wheel or source package, by its file's name."""
    if file.endswith(".whl"):
        name, _, rest = file.partition("-")
        return (normal(name), rest.partition("-")[0]) if rest else None
    stem = re.sub(r"\.(tar\.gz|zip)$", "", file)
    name, _, version = stem.rpartition("-")
    return (normal(name), version) if name and stem != file else None
