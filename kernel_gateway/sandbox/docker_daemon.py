"""The daemon of a container engine: where it listens, what it offers, and what to do where it does not.

Asked with the standard library, since this also runs where aiodocker is not installed and where there is no event loop.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from ..errors import EngineUnavailable
from . import seccomp

EngineName = Literal["docker", "gvisor", "podman"]
# Raise it when sandboxes need another root file system than before.
BASE_VERSION = 2
BASE_IMAGE = f"cell-gateway-base:{BASE_VERSION}"
LIBC_LABEL = "cell-gateway.libc"
DIGEST_LABEL = "cell-gateway.digest"
# The first that takes ``one-shot`` statistics; Docker 20.10 has it.
_OLDEST_API = (1, 41)
_SECONDS = 20.0
_LIMITS = {"memory": "MemoryLimit", "processes": "PidsLimit", "cpu": "CpuCfsQuota"}

_INSTALL = {
    "docker": "sudo apt-get install -y docker.io && sudo systemctl start docker    (Fedora: dnf install moby-engine)",
    "podman": "sudo apt-get install -y podman && systemctl --user start podman.socket    (as root: systemctl start podman.socket)",
}
_RUNSC = """\
  sudo apt-get install -y runsc    (elsewhere: https://gvisor.dev/docs/user_guide/install/)
and tell Docker about it in /etc/docker/daemon.json, then: sudo systemctl restart docker
  {"runtimes": {"runsc": {"path": "/usr/bin/runsc", "runtimeArgs": ["--host-uds=all", "--network=none", "--platform=ptrace"]}}}"""
_BUILD = "Make it with: cell-gateway image build --engine"


@dataclass(frozen=True)
class Daemon:
    """A daemon that can make our sandboxes. ``runtime`` is None for its default one."""

    engine: EngineName
    socket: Path
    machine: str
    runtime: str | None
    # The user's own daemon: its uid 0 is that user on the machine.
    rootless: bool
    # It maps user ids to others unless told not to.
    remaps_users: bool
    # Whether it can limit memory, processes and cpu: without cgroups it ignores what it is asked.
    limits: Mapping[str, bool]


def find_sockets(engine: EngineName, environ: Mapping[str, str] | None = None) -> list[Path]:
    """Where the daemon may listen, the best first: what the environment says alone, else the usual places that exist.

    Raises EngineUnavailable for an address that is no unix socket: sandboxes show folders of this machine.
    """
    environ = os.environ if environ is None else environ
    variable = "CONTAINER_HOST" if engine == "podman" else "DOCKER_HOST"
    if address := environ.get(variable):
        if not address.startswith("unix://"):
            raise EngineUnavailable(
                f"{variable}={address} is no unix socket.", f"Use a daemon of this machine: unset {variable}"
            )
        return [Path(address.removeprefix("unix://"))]
    runtime = environ.get("XDG_RUNTIME_DIR")
    own = [Path(runtime)] if runtime else []
    home = [Path(environ["HOME"])] if environ.get("HOME") else []
    if engine == "podman":
        places = [*(p / "podman/podman.sock" for p in own), Path("/run/podman/podman.sock")]
    else:
        places = [Path("/run/docker.sock"), Path("/var/run/docker.sock")]
        places += [*(p / "docker.sock" for p in own), *(p / ".docker/run/docker.sock" for p in home)]
    return [place for place in places if _is_socket(place)]


def _is_socket(path: Path) -> bool:
    try:
        return path.is_socket()
    except OSError:
        return False


def ready_daemon(engine: EngineName) -> Daemon:
    """The daemon, sure to be able to make a sandbox. Raises EngineUnavailable with the reason and the commands that help."""
    require_package(engine)
    daemon = find_daemon(engine)
    _check_base(daemon)
    return daemon


def require_package(engine: EngineName) -> None:
    if find_spec("aiodocker") is None:
        raise EngineUnavailable(
            f"The engine {engine} needs aiodocker, which is not installed.",
            'Install it: pip install "cell-gateway[docker]"',
        )


def find_daemon(engine: EngineName) -> Daemon:
    """The daemon, whether or not it has our root file system. Raises EngineUnavailable."""
    place = "podman" if engine == "podman" else "docker"
    sockets = find_sockets(engine)
    if not sockets:
        raise EngineUnavailable(f"No {place} daemon listens here.", f"Install and start it:\n  {_INSTALL[place]}")
    problems: list[EngineUnavailable] = []
    for path in sockets:
        try:
            return _described(engine, path)
        except EngineUnavailable as error:
            problems.append(error)
    raise problems[0]


def ask(path: Path, target: str) -> tuple[int, Any]:
    """GET of the daemon's API: the HTTP status and the JSON. Raises EngineUnavailable when nobody answers."""
    connection = _UnixConnection(path)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null")
    except PermissionError:
        raise EngineUnavailable(
            f"You may not use {path}.",
            "Join the group that may (it is as good as root), then log in again: sudo usermod -aG docker $USER",
        ) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise EngineUnavailable(
            f"No daemon answers at {path}: {error}.", f"Start it:\n  {_INSTALL['docker']}"
        ) from error
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(str(self._path))


def _described(engine: EngineName, path: Path) -> Daemon:
    _, version = ask(path, "/version")
    if tuple(int(part) for part in str(version.get("ApiVersion", "0.0")).split(".")[:2]) < _OLDEST_API:
        raise EngineUnavailable(
            f"The daemon at {path} is too old (API {version.get('ApiVersion')}).",
            "Docker 20.10 or newer, or Podman 4 or newer, is needed.",
        )
    _, info = ask(path, "/info")
    machine = str(info.get("Architecture") or platform.machine())
    if not seccomp.supported(machine):
        raise EngineUnavailable(f"There is no system call filter for {machine}.", "Use an x86_64 or aarch64 machine.")
    options = " ".join(info.get("SecurityOptions") or [])
    if "seccomp" not in options:
        raise EngineUnavailable(
            f"The daemon at {path} has no seccomp.", "Use a kernel and a runc with seccomp filters."
        )
    rootless = "rootless" in options
    remaps = "name=userns" in options and not rootless
    limits = {name: bool(info.get(key)) for name, key in _LIMITS.items()}
    return Daemon(engine, path, machine, _runtime(engine, info), rootless, remaps, limits)


def _runtime(engine: EngineName, info: Mapping[str, Any]) -> str | None:
    if engine == "podman":
        return None
    runtimes: Mapping[str, Any] = info.get("Runtimes") or {}
    name = "runsc" if engine == "gvisor" else "runc"
    if name not in runtimes:
        raise EngineUnavailable(f"Docker has no runtime {name}.", f"Install gVisor:\n{_RUNSC}")
    if engine == "gvisor":
        _check_arguments(runtimes[name].get("runtimeArgs") or [])
    return name


def _check_arguments(arguments: list[str]) -> None:
    """Without the first no socket of the sandbox can be reached; without the second the network is gVisor's own, if it starts at all."""
    given = {argument.lstrip("-") for argument in arguments}
    missing = [f"--{wanted}" for wanted in ("host-uds=all", "network=none") if wanted not in given]
    if missing:
        raise EngineUnavailable(f"Docker starts runsc without {' and '.join(missing)}.", f"Set them:\n{_RUNSC}")


def _check_base(daemon: Daemon) -> None:
    status, image = ask(daemon.socket, f"/images/{BASE_IMAGE}/json")
    if status != 200:
        raise EngineUnavailable(
            f"{daemon.engine} does not have the root file system of sandboxes yet.", f"{_BUILD} {daemon.engine}"
        )
    labels: Mapping[str, str] = (image.get("Config") or {}).get("Labels") or {}
    made, here = labels.get(LIBC_LABEL, ""), " ".join(platform.libc_ver())
    if made != here:
        raise EngineUnavailable(
            f"The root file system of sandboxes has {made or 'an unknown C library'}, this machine {here}.",
            f"{_BUILD} {daemon.engine}",
        )
