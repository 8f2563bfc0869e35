"""A systemd scope of its own for an ordinary user's supervisor, in which version 2 cgroups may be made.

The user's service manager hands out controllers (``Delegate=``); the supervisor then moves into a group below its scope, so that
the scope itself may hand them on (cgroup-v2.rst, "no internal process"). From there on it is the same as for root.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import groups
from .interface import PREFIX, Hierarchy, found_here

_NEEDED = {"memory", "pids"}
_SUFFIX = ".scope"
_INNER = "supervisor"


@dataclass(frozen=True)
class Facts:
    """What decides whether a scope helps."""

    is_root: bool
    # The path of systemd-run, or None.
    program: str | None
    # Whether the user's service manager listens.
    has_manager: bool
    # What that manager may hand out.
    controllers: frozenset[str]
    # Whether it stays when the user logs out.
    lingers: bool


def command(facts: Facts, name: str) -> list[str]:
    """What to put before the supervisor's command; empty where a scope is not to be had, not needed, or would shorten its life.

    A manager that ends with the login would end the session as well, which then must live without groups (`rlimits`).
    """
    if facts.is_root or facts.program is None or not facts.has_manager or not facts.lingers:
        return []
    if not facts.controllers >= _NEEDED:
        return []
    unit = f"--unit={PREFIX}{name}{_SUFFIX}"
    return [facts.program, "--user", "--scope", "--quiet", "--collect", unit, "--property=Delegate=yes", "--"]


def look(environ: Mapping[str, str]) -> Facts:
    """The facts of this machine and user."""
    uid, runtime = os.geteuid(), environ.get("XDG_RUNTIME_DIR", "")
    return Facts(
        is_root=uid == 0,
        program=shutil.which("systemd-run"),
        has_manager=bool(runtime) and Path(runtime, "systemd", "private").exists(),
        controllers=frozenset(_handed_out(uid)),
        lingers=Path("/var/lib/systemd/linger", environ.get("USER", "") or ".").is_file(),
    )


def _handed_out(uid: int) -> Sequence[str]:
    top = found_here().get("")
    if top is None:
        return ()
    manager = top.mount_point / "user.slice" / f"user-{uid}.slice" / f"user@{uid}.service"
    try:
        return (manager / "cgroup.controllers").read_text().split()
    except OSError:
        return ()


def settle(found: Mapping[str, Hierarchy], pid: int) -> bool:
    """Move ``pid`` below its scope and let the scope hand out controllers; False when it has no scope of ours."""
    own = found[""].own if "" in found else Path("/")
    if not (own.name.startswith(PREFIX) and own.name.endswith(_SUFFIX)):
        return False
    inner = own / _INNER
    inner.mkdir(exist_ok=True)
    groups.write(inner / "cgroup.procs", pid)
    for controllers in ("+memory +pids", "+cpu"):
        with suppress(OSError):
            groups.write(own / "cgroup.subtree_control", controllers)
    return True
