"""``--mount PATH[:name]``: what of this machine may be shown inside, read-only at ``/workspace/inputs/NAME``."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..errors import BadRequest, NotFound
from .beneath import opened_folder, walk
from .folder import SessionFolder, runtime_root

# Shown neither themselves nor anything in them: they describe or control the machine.
SYSTEM_FOLDERS = tuple(Path(p) for p in ("/etc", "/proc", "/sys", "/dev", "/run", "/boot"))
# A folder is searched for sockets up to so many entries.
_SEARCHED = 200_000
# Shown not as a whole, since other people's and programs' files lie in them.
SHARED_FOLDERS = tuple(Path(p) for p in ("/", "/home", "/var", "/usr", "/mnt", "/media", "/tmp"))


@dataclass(frozen=True)
class MountRequest:
    """A checked mount. ``source`` has no link in it."""

    source: Path
    name: str

    def to_json(self) -> dict[str, str]:
        return {"source": str(self.source), "name": self.name}


def parse_mount(text: str, *, own: Iterable[Path], taken: Iterable[str] = ()) -> MountRequest:
    """Read ``PATH[:name]`` and refuse what must not be shown: homes, dotfolders, the system's folders and our ``own``.

    A path that exists as written wins over the reading with a name. Raises NotFound or BadRequest.
    """
    path, colon, name = text.rpartition(":")
    if not colon or Path(text).expanduser().exists():
        path, name = text, ""
    try:
        source = Path(path).expanduser().resolve(strict=True)
    except (OSError, RuntimeError):
        raise NotFound(f"There is nothing at {path!r} to mount.") from None
    _check_source(source, [*own, runtime_root()])
    name = name or source.name
    _check_name(name, taken)
    return MountRequest(source, name)


def _check_source(source: Path, own: Iterable[Path]) -> None:
    if reason := refusal(source, own):
        raise BadRequest(f"{source} is not mounted: {reason}.", "Mount the folder below it that holds the data.")
    mode = source.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise BadRequest(f"{source} is neither a file nor a folder.")
    if not os.access(source, os.R_OK):
        raise BadRequest(f"{source} cannot be read.")
    if stat.S_ISDIR(mode) and (found := _first_socket(source)):
        raise BadRequest(
            f"{source} is not mounted: it holds the socket {found}, and whatever listens there could be talked to from inside.",
            "Mount a folder without it.",
        )


def _first_socket(folder: Path) -> str:
    """The path of a socket in the folder, or an empty text. One that is made later is not seen: docs/security.md says so."""
    with opened_folder(folder) as root:
        found = islice(walk(root), _SEARCHED)
        return next((entry.path for entry in found if entry.kind == "socket"), "")


def refusal(source: Path, own: Iterable[Path]) -> str:
    """Why a path without links must not be shown inside, or an empty text."""
    if any(part.startswith(".") for part in source.parts):
        return "dotfolders and dotfiles often hold secrets"
    if any(source.is_relative_to(folder) for folder in SYSTEM_FOLDERS):
        return "it belongs to the system"
    if source in SHARED_FOLDERS or source == Path(tempfile.gettempdir()).resolve():
        return "other programs' files lie in it"
    if any(home.is_relative_to(source) for home in _homes()):
        return "it holds a whole home folder"
    resolved = [folder.resolve() for folder in own]
    if any(source.is_relative_to(folder) or folder.is_relative_to(source) for folder in resolved):
        return "it holds cell-gateway's own data"
    return ""


def _homes() -> set[Path]:
    """Homes of people, root's among them; a service's home, such as ``/`` or ``/var/lib/x``, is nobody's."""
    found = {Path(entry.pw_dir) for entry in pwd.getpwall() if entry.pw_uid == 0 or entry.pw_uid >= 1000}
    found.add(Path.home())
    return {home.resolve() for home in found if home.is_absolute() and str(home) not in ("/", "/nonexistent")}


def _check_name(name: str, taken: Iterable[str]) -> None:
    if name in ("", ".", "..") or "/" in name or len(os.fsencode(name)) > 255 or not name.isprintable():
        raise BadRequest(f"{name!r} is not a name for a mount.", "Give one without slashes: PATH:NAME.")
    if name in taken:
        raise BadRequest(f"Two mounts are called {name!r}.", "Give one of them another name: PATH:NAME.")


def add_mounts(folder: SessionFolder, mounts: Iterable[MountRequest]) -> None:
    """Write them into ``session.json``, beside those that are there; the next start of the session shows them."""
    values = folder.read()
    known: list[dict[str, str]] = values.get("mounts", [])
    values["mounts"] = known + [m.to_json() for m in mounts if m.to_json() not in known]
    folder.write(values)
