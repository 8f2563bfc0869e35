"""A sandbox as the configuration of a container: the same view as that of `layout`, over our own root file system."""

from __future__ import annotations

import json
import os
import resource
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import docker_seccomp, layout
from .docker_daemon import BASE_IMAGE, Daemon
from .engine import SandboxSpec

INSIDE = Path(__file__).with_name("docker_inside.py")
# Threads of process 1 and of the runtime's own start.
OWN_PROCESSES = 4
# gVisor's kernel is a Go program whose threads count too, and each process inside has one more outside. When no thread can be had that
# kernel ends, and the sandbox with it, so there must be room for what the session may use.
_GVISOR_PROCESSES = 64
_PYTHON = "/image/python/bin/python3"
_MASKED = ("asound", "latency_stats", "timer_stats", "kpagecount", "kpageflags", "kpagecgroup")
_READ_ONLY = ("/proc/bus", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@contextmanager
def seccomp_profile(daemon: Daemon) -> Generator[str]:
    """The filter as the daemon takes it: its text, or for Podman a file, which is there until the block ends."""
    text = docker_seccomp.profile(daemon.machine)
    if daemon.engine != "podman":
        yield text
        return
    with tempfile.NamedTemporaryFile("w", prefix="cell-gateway-", suffix=".json") as file:
        file.write(text)
        file.flush()
        yield file.name


@contextmanager
def accounts(spec: SandboxSpec, daemon: Daemon, uid: int) -> Generator[Mapping[str, Path]]:
    """Files for read-only places in /etc, there until the container has started: its mounts keep what they show.

    They lie beside the sockets, where the daemon must be able to look anyway. Podman makes its own.
    """
    if daemon.engine == "podman":
        yield {}
        return
    names = {"root": 0, "user": uid} if uid else {"user": 0}
    shells = {"root": "/root:/usr/sbin/nologin", "user": "/home/user:/bin/bash"}
    texts = {
        "passwd": "".join(f"{name}:x:{i}:{i}:{name}:{shells[name]}\n" for name, i in names.items()),
        "group": "".join(f"{name}:x:{i}:\n" for name, i in names.items()),
    }
    with tempfile.TemporaryDirectory(prefix="accounts-", dir=spec.sockets.parent) as folder:
        for name, text in texts.items():
            (path := Path(folder, name)).write_text(text)
            path.chmod(0o444)
        yield {f"/etc/{name}": Path(folder, name) for name in texts}


@dataclass(frozen=True)
class Container:
    """What the description of a container needs besides the sandbox's own. ``uid`` is the user inside, which the daemon may map to
    another one; ``profile`` is that of `seccomp_profile`, ``files`` are those of `accounts`.
    """

    uid: int
    labels: Mapping[str, str]
    profile: str
    files: Mapping[str, Path]
    stdin: bool


def container(spec: SandboxSpec, daemon: Daemon, made: Container) -> dict[str, Any]:
    """The body of ``POST /containers/create``."""
    return {
        "Image": BASE_IMAGE,
        "Labels": dict(made.labels),
        "Hostname": layout.HOSTNAME,
        "User": f"{made.uid}:{made.uid}",
        "WorkingDir": "/workspace",
        "Env": [f"{name}={value}" for name, value in spec.environment.items()],
        # The environment is told twice: the engine adds to its own.
        "Entrypoint": [_PYTHON, "-I", "-S", "-c", INSIDE.read_text(), json.dumps(_wanted(spec, made.stdin))],
        "Cmd": [],
        # Not only no network but none of its files either: the machine's resolv.conf names its name server.
        "NetworkDisabled": True,
        "OpenStdin": True,
        # The end of our connection is the end of its stdin, which ends everything in it.
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": _host_config(spec, daemon, made),
    }


def _wanted(spec: SandboxSpec, stdin: bool) -> dict[str, Any]:
    """What process 1 is to do."""
    return {"command": list(spec.command), "environment": dict(spec.environment), "stdin": stdin}


def _host_config(spec: SandboxSpec, daemon: Daemon, made: Container) -> dict[str, Any]:
    policy = spec.policy
    gvisor = daemon.engine == "gvisor"
    config = {
        "AutoRemove": True,
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "none"},
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges", f"seccomp={made.profile}"],
        "MaskedPaths": [*(f"/proc/{n}" for n in (*_MASKED, *layout.PROC_FOLDERS, *layout.PROC_FILES)), "/sys"],
        "ReadonlyPaths": list(_READ_ONLY),
        "NetworkMode": "none",
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "Memory": policy.memory,
        "MemorySwap": policy.memory,
        "PidsLimit": 2 * policy.processes + _GVISOR_PROCESSES if gvisor else policy.processes + OWN_PROCESSES,
        "CpuPeriod": 100_000,
        "CpuQuota": max(1000, round(policy.cpus * 100_000)),
        "OomScoreAdj": 500,
        "Ulimits": [{"Name": n, "Soft": v, "Hard": v} for n, v in _resource_limits(daemon, policy.disk).items()],
        "ShmSize": layout.shared_memory_size(policy.memory),
        "Tmpfs": {
            path: f"rw,exec,nosuid,nodev,size={size},{_owner(daemon, mode, made.uid)}"
            for path, mode, size in layout.temporary_folders(policy.memory)
        },
        "Mounts": [*_mounts(spec), *(_mount(p, to, writable=False) for to, p in made.files.items())],
    }
    if daemon.runtime is not None:
        config["Runtime"] = daemon.runtime
    if daemon.remaps_users:
        config["UsernsMode"] = "host"
    return config


def _resource_limits(daemon: Daemon, largest_file: int) -> dict[str, int]:
    limits = {"core": 0, "nofile": 4096, "fsize": largest_file, "rtprio": 0}
    if daemon.engine == "podman":
        # By default it asks for a number of its own, which may be more than this machine lets it.
        limits["nproc"] = min(32768, resource.getrlimit(resource.RLIMIT_NPROC)[1])
    return limits


def _owner(daemon: Daemon, mode: str, uid: int) -> str:
    """Podman gives temporary folders to nobody but root."""
    return "mode=1777" if daemon.engine == "podman" else f"mode={mode},uid={uid},gid={uid}"


def _mounts(spec: SandboxSpec) -> list[dict[str, Any]]:
    found = layout.sources(spec)
    writable = spec.writable
    targets = {
        "image": ("/image", False),
        "outputs": ("/outputs", False),
        "workspace": ("/workspace", writable),
        "layer": ("/home/user", writable),
        "sockets": ("/run/kernel", writable),
        "egress": ("/run/egress", False),
        **{f"mount{i}": (mount.target, mount.writable) for i, mount in enumerate(spec.mounts)},
    }
    return [_mount(found[name], to, writable=may_write) for name, (to, may_write) in targets.items() if name in found]


def _mount(source: Path, target: str, *, writable: bool) -> dict[str, Any]:
    """A file system below a read-only folder would stay writable, so it is not shown."""
    return {
        "Type": "bind",
        "Source": os.fspath(source.resolve()),
        "Target": target,
        "ReadOnly": not writable,
        "BindOptions": {"Propagation": "rprivate", "NonRecursive": not writable},
    }
