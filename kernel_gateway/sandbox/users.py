"""User ids for the code of root's sessions: one a session, for all data folders of the machine.

The registry is a file that only root reads; a lock beside it is held while it is changed. Ids are handed out in turn, so that one
is used again only after the whole range, and never while a process has it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import EngineUnavailable
from .engine import SandboxSpec

FIRST, LAST = 231_000, 296_000
# Never handed out: ``doctor`` tries sandboxes with it.
PROBE_UID = LAST + 1
REGISTRY = Path("/var/lib/cell-gateway/uids.json")


class UidRegistry:
    """Which session folder has which uid. Raises EngineUnavailable when the range is used up or the file cannot be read."""

    def __init__(self, path: Path = REGISTRY, first: int = FIRST, last: int = LAST) -> None:
        self.path, self.first, self.last = path, first, last

    def allocate(self, owner: Path) -> int:
        """The uid of this session folder: the one it has, or a new one. Only root can use it."""
        with self._locked() as owners:
            name = str(owner.absolute())
            for uid, entry in owners.items():
                if entry == name:
                    return uid
            uid = self._free(owners)
            owners[uid] = name
            return uid

    def release(self, uid: int) -> None:
        """The session is deleted. An unknown uid is no error."""
        with self._locked() as owners:
            owners.pop(uid, None)

    def transfer(self, uid: int, new_owner: Path) -> None:
        """The folder was renamed. Call it before anything else can be allocated: a folder that is gone loses its uid in the end."""
        with self._locked() as owners:
            owners[uid] = str(new_owner.absolute())

    def _free(self, owners: dict[int, str]) -> int:
        """In turn after the youngest; dict order is the order of allocation."""
        count = self.last - self.first + 1
        youngest = next(reversed(owners), self.last)
        busy = _uids_of_processes()
        for step in range(1, count + 1):
            uid = self.first + (youngest - self.first + step) % count
            taken = uid in owners and os.path.lexists(owners[uid])
            if not taken and uid not in busy and not _has_account(uid):
                owners.pop(uid, None)
                return uid
        raise EngineUnavailable(
            f"All {count:,} user ids for sessions are in use.",
            "Delete old sessions with: cell-gateway sessions delete --older-than 30d",
        )

    @contextmanager
    def _locked(self) -> Generator[dict[int, str]]:
        """The owners by uid, oldest first; written back durably when the block ends without an error."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            owners = self._read()
            before = list(owners.items())
            yield owners
            if list(owners.items()) != before:
                self._write(owners)
        finally:
            os.close(fd)

    def _read(self) -> dict[int, str]:
        try:
            entries: list[Any] = json.loads(self.path.read_bytes())["owners"]
            return {int(uid): str(owner) for uid, owner in entries}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError) as error:
            raise EngineUnavailable(
                f"{self.path} is damaged ({error}).",
                "Stop all sessions, then remove the file; sessions get new user ids when they start again.",
            ) from error

    def _write(self, owners: dict[int, str]) -> None:
        temporary = self.path.with_suffix(f".{os.getpid()}")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            # In one piece: `json.dump` takes several times as long.
            file.write(json.dumps({"owners": list(owners.items())}))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)


def allocate_uid(owner: Path) -> int:
    """See `UidRegistry.allocate`, for the registry of this machine."""
    return UidRegistry().allocate(owner)


def release_uid(uid: int) -> None:
    UidRegistry().release(uid)


def transfer_uid(uid: int, new_owner: Path) -> None:
    UidRegistry().transfer(uid, new_owner)


def uid_for(spec: SandboxSpec) -> int:
    """The machine's uid of the code. The machine's root without capabilities could still write its kernel's settings.

    Raises EngineUnavailable when that is no user id for it.
    """
    own = os.geteuid()
    uid = own if spec.uid is None else spec.uid
    if uid == 0:
        raise EngineUnavailable(
            "Code of a session never runs as root.", "Give the session a user id of its own (users.allocate_uid)."
        )
    if own not in (0, uid):
        raise EngineUnavailable(f"Only root can start a sandbox for user id {uid}.")
    return uid


def _uids_of_processes() -> set[int]:
    uids: set[int] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            uids.add(process.stat().st_uid)
    return uids


def _has_account(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
