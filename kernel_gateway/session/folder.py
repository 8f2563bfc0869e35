"""Where a session lies on disk. Paths only; nothing here reads a workspace."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import BadRequest, NotFound

WORDS = tuple(
    """
amber ash birch bloom brook cedar clay cliff cloud coral crane creek dale dawn delta dune elm ember fern field finch
fjord flint frost glade grove harbor hazel heron hill iris isle ivy jade juniper lake larch leaf lily linden maple marsh
meadow mist moss north oak olive onyx opal orchid otter pearl pine plum pond quartz rain raven reed ridge river robin
rose rowan sage sand shore sky slate snow sorrel spruce star stone storm swift thistle tide topaz vale violet wave
willow wind wren
""".split()
)


@dataclass(frozen=True)
class SessionFolder:
    """One session's paths. ``path`` may be renamed when a generic session is claimed: ask again rather than keep its parts."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def notebook(self) -> Path:
        return self.path / "notebook.ipynb"

    @property
    def workspace(self) -> Path:
        return self.path / "workspace"

    @property
    def outputs(self) -> Path:
        return self.path / "outputs"

    @property
    def pictures(self) -> Path:
        return self.path / "pictures"

    @property
    def internals(self) -> Path:
        return self.path / ".session"

    @property
    def journal(self) -> Path:
        return self.internals / "journal.jsonl"

    @property
    def blobs(self) -> Path:
        return self.internals / "blobs"

    @property
    def layer(self) -> Path:
        return self.internals / "layer"

    @property
    def log(self) -> Path:
        return self.internals / "supervisor.log"

    def read(self) -> dict[str, Any]:
        """``session.json``: policy, owner, versions. Raises NotFound when this is no session."""
        try:
            found: dict[str, Any] = json.loads((self.internals / "session.json").read_bytes())
        except (OSError, ValueError):
            raise NotFound(f"{self.path} is not a session.") from None
        return found

    def write(self, values: dict[str, Any]) -> None:
        """Replace ``session.json`` atomically."""
        temporary = self.internals / f".session.json.{os.getpid()}"
        temporary.write_text(json.dumps(values, indent=2) + "\n")
        temporary.replace(self.internals / "session.json")

    def create(self, values: dict[str, Any]) -> None:
        """Make the folders and ``session.json``. The parents are passable (0711) so that a session's own uid reaches its workspace."""
        self.path.mkdir(parents=True, mode=0o711)
        for folder in (self.workspace, self.outputs, self.pictures):
            folder.mkdir(mode=0o755)
        self.internals.mkdir(mode=0o711)
        self.layer.mkdir(mode=0o755)
        self.write(values)


class SessionStore:
    """All sessions of one data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.root = data / "sessions"

    def __iter__(self) -> Iterator[SessionFolder]:
        """Newest first, by the time of the last record."""
        folders = [SessionFolder(p) for p in self.root.glob("*") if (p / ".session" / "session.json").is_file()]
        return iter(sorted(folders, key=_last_used, reverse=True))

    def find(self, name: str) -> SessionFolder:
        """By id, unique prefix or ``last``. Raises NotFound, or BadRequest when a prefix is not unique."""
        folders = list(self)
        if name == "last" and folders:
            return folders[0]
        exact = [f for f in folders if f.id == name]
        matches = exact or [f for f in folders if name and f.id.startswith(name)]
        if len(matches) == 1:
            return matches[0]
        if not matches:
            raise NotFound(f"There is no session {name!r}.", "See them with: cell-gateway sessions list --all")
        raise BadRequest(f"{name!r} names several sessions: {', '.join(f.id for f in matches[:5])}.")

    def new(self, values: dict[str, Any], name: str | None = None) -> SessionFolder:
        """A new folder with a readable id such as ``amber-wren-1124-7f``."""
        while True:
            folder = SessionFolder(self.root / (name or readable_id()))
            try:
                folder.create({"session": folder.id, **values})
            except FileExistsError:
                if name:
                    raise BadRequest(f"A session {name!r} exists already.") from None
                continue
            return folder


def readable_id() -> str:
    """Such as ``amber-wren-1124-7f``: two words, the day, two random digits."""
    day = datetime.now(timezone.utc).strftime("%m%d")
    return f"{secrets.choice(WORDS)}-{secrets.choice(WORDS)}-{day}-{secrets.token_hex(1)}"


def _last_used(folder: SessionFolder) -> float:
    try:
        return folder.journal.stat().st_mtime
    except OSError:
        return folder.path.stat().st_mtime


def runtime_folder(folder: SessionFolder) -> Path:
    """The 0700 folder of the session's sockets: short (socket paths hold 107 bytes), stable, made by whoever comes first.

    It is keyed by the inode of ``.session``, which survives a rename of the session.
    """
    status = folder.internals.stat()
    key = hashlib.sha256(f"{status.st_dev}:{status.st_ino}".encode()).hexdigest()[:12]
    return runtime_root() / key


def runtime_root() -> Path:
    """``$XDG_RUNTIME_DIR/cell-gateway`` or its like. Raises BadRequest when somebody else owns it."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if os.getuid() == 0:
        root = Path("/run/cell-gateway")
    elif base and Path(base).is_dir() and os.access(base, os.W_OK):
        root = Path(base) / "cell-gateway"
    else:
        root = Path(f"/tmp/cell-gateway-{os.getuid()}")
    root.mkdir(mode=0o711, exist_ok=True)
    status = root.lstat()
    if status.st_uid != os.getuid() or root.is_symlink() or status.st_mode & 0o022:
        raise BadRequest(f"{root} belongs to somebody else.", "Set XDG_RUNTIME_DIR to a folder of your own.")
    return root
