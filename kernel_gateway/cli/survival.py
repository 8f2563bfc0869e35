"""Whether sessions outlive what front ends do not decide: a logout, a restart of the service, a restart of the container.

What cannot be found out here is said to be unknown.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..sandbox.doctor import Finding
from ..sandbox.limits import scope

UNIT = "cell-gateway.service"
_LINGER = "loginctl enable-linger"
_PROGRAM_SECONDS = 5.0
_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")


@dataclass(frozen=True)
class Unit:
    """What systemd says of a service that is installed."""

    command: str
    kill_mode: str
    removes_runtime: bool


@dataclass(frozen=True)
class Mount:
    """Where the data folder lies."""

    point: str
    kind: str


@dataclass(frozen=True)
class Facts:
    """``kills_at_logout`` None: unknown. ``in_manager``: this process belongs to the user's service manager."""

    is_root: bool
    has_systemd: bool
    lingers: bool = False
    in_manager: bool = False
    kills_at_logout: bool | None = None
    has_scopes: bool = False
    units: tuple[Unit, ...] = ()
    in_container: bool = False
    data: Mount = Mount("/", "")


def findings(facts: Facts) -> list[Finding]:
    return [_logout(facts), _service(facts), _container(facts)]


def _logout(facts: Facts) -> Finding:
    if not facts.has_systemd:
        if facts.in_container:
            return Finding("logout", True, "Nobody logs out of this container; sessions go on when a shell in it ends.")
        return Finding("logout", True, "Sessions go on when you log out: no systemd here ends what a login started.")
    if facts.is_root and not facts.in_manager:
        return Finding("logout", True, "Sessions go on when you log out: systemd leaves what root started.")
    if facts.lingers:
        return Finding("logout", True, "Sessions go on when you log out: lingering is on.")
    if facts.in_manager:
        return Finding(
            "logout", None, "Sessions end with your last login: this shell is the service manager's.", _LINGER
        )
    if facts.kills_at_logout is None:
        return Finding(
            "logout", None, "Not known here: systemd does not say whether it ends what you started.", _LINGER
        )
    if facts.kills_at_logout:
        return Finding("logout", None, "Sessions end when you log out: KillUserProcesses is on.", _LINGER)
    return Finding("logout", True, "Sessions go on when you log out: KillUserProcesses is off.")


def _service(facts: Facts) -> Finding:
    """A server that runs as a service, when it is restarted."""
    if not facts.has_systemd:
        return Finding(
            "service restart", None, "Not known here (no systemd): what manages the server must end only its process."
        )
    if not facts.units:
        return Finding(
            "service restart", None, f"There is no {UNIT}. One needs KillMode=process.", "See docs/service.md"
        )
    for unit in facts.units:
        change = f"{unit.command} edit {UNIT}"
        if unit.kill_mode not in ("process", "none") and not facts.has_scopes:
            detail = f"A restart of {UNIT} ends all sessions: KillMode={unit.kill_mode}."
            return Finding("service restart", False, detail, f"{change}, and under [Service]: KillMode=process")
        if unit.removes_runtime:
            detail = f"After a restart of {UNIT} live sessions are out of reach: it removes their sockets."
            return Finding("service restart", False, detail, f"{change}: RuntimeDirectoryPreserve=yes")
    why = "sessions have scopes of their own" if facts.has_scopes else "KillMode is process"
    return Finding("service restart", True, f"Sessions go on when {UNIT} is restarted: {why}.")


def _container(facts: Facts) -> Finding:
    if not facts.in_container:
        return Finding("container", True, "This is no container that one knows of: nothing ends with one.")
    ends = "Sessions end with this container and come back by replay"
    if facts.data.kind in ("tmpfs", "ramfs"):
        detail = "Sessions and all that they recorded are lost with this container: the data folder is in memory."
        return Finding(
            "container", None, detail, "Give it a volume: docker run -v cell-gateway:/data -e CELL_GATEWAY_DATA=/data …"
        )
    if facts.data.point == "/":
        detail = (
            f"{ends} when the same one is started again; all is lost when it is removed: the data folder is no volume."
        )
        return Finding("container", None, detail, "docker run -v cell-gateway:/data -e CELL_GATEWAY_DATA=/data …")
    return Finding("container", None, f"{ends}; what they recorded is in a volume ({facts.data.point}).")


def look(data: Path, environ: Mapping[str, str] = os.environ) -> Facts:
    """Of this machine, user and process."""
    has_systemd = Path("/run/systemd/system").is_dir()
    is_root = os.getuid() == 0
    return Facts(
        is_root=is_root,
        has_systemd=has_systemd,
        lingers=Path("/var/lib/systemd/linger", environ.get("USER") or ".").is_file(),
        in_manager=f"user@{os.getuid()}.service" in _text("/proc/self/cgroup"),
        kills_at_logout=_kills_at_logout() if has_systemd else False,
        has_scopes=bool(scope.command(scope.look(environ), "x")),
        units=tuple(_units(is_root)) if has_systemd else (),
        in_container=is_in_container(environ),
        data=mount_of(data, _text("/proc/self/mountinfo")),
    )


def is_in_container(environ: Mapping[str, str]) -> bool:
    first = _text("/proc/1/environ").split("\0")
    return (
        any(Path(mark).exists() for mark in _CONTAINER_MARKS)
        or any(entry.startswith("container=") for entry in first)
        or "KUBERNETES_SERVICE_HOST" in environ
    )


def mount_of(path: Path, table: str) -> Mount:
    """The mount that a path lies in, by ``mountinfo``; the path need not exist."""
    best, place = Mount("/", ""), path.absolute()
    for line in table.splitlines():
        fields, _, rest = line.partition(" - ")
        point = fields.split()[4].replace("\\040", " ")
        # Of two at one place the later lies above.
        if place.is_relative_to(point) and len(point) >= len(best.point):
            best = Mount(point, rest.split()[0])
    return best


def _kills_at_logout() -> bool | None:
    """What logind says; its files only when they set it, since a distribution may have built in either."""
    manager = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
    said = _said(["busctl", "get-property", *manager, "KillUserProcesses"])
    if said.startswith("b "):
        return said == "b true"
    kills: bool | None = None
    for folder in ("/usr/lib/systemd", "/run/systemd", "/etc/systemd"):
        for file in (Path(folder, "logind.conf"), *sorted(Path(folder, "logind.conf.d").glob("*.conf"))):
            for line in _text(file).splitlines():
                key, _, value = line.strip().partition("=")
                if key.strip() == "KillUserProcesses":
                    kills = value.strip().lower() in ("yes", "true", "1", "on")
    return kills


def _units(is_root: bool) -> list[Unit]:
    found: list[Unit] = []
    for command in ("systemctl",) if is_root else ("systemctl --user", "systemctl"):
        names = "LoadState,KillMode,RuntimeDirectory,RuntimeDirectoryPreserve"
        said = _said([*command.split(), "show", f"--property={names}", UNIT])
        values = {key: value for key, _, value in (line.partition("=") for line in said.splitlines())}
        if values.get("LoadState") == "loaded":
            removes = bool(values.get("RuntimeDirectory")) and values.get("RuntimeDirectoryPreserve") == "no"
            found.append(Unit(command, values.get("KillMode", ""), removes))
    return found


def _said(command: Sequence[str]) -> str:
    """What a program printed; nothing when it is not there, fails, or does not answer."""
    if shutil.which(command[0]) is None:
        return ""
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROGRAM_SECONDS, check=True)
        return done.stdout.strip()
    return ""


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""
