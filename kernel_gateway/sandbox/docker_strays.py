"""Labels that tell whose a container is, and the removal of those whose starter is gone.

A container ends with the connection of its starter, so strays are rare: a daemon that was stopped at the wrong moment leaves some.
The labels name no session: the key is that of the folder's inode, which stays the same when a ready sandbox is claimed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import aiodocker

from .engine import SandboxSpec

SESSION, GENERATION, STARTER = "cell-gateway.session", "cell-gateway.generation", "cell-gateway.starter"


def labels(spec: SandboxSpec) -> dict[str, str]:
    return {SESSION: session_key(spec.workspace), GENERATION: str(spec.generation), STARTER: starter()}


def session_key(workspace: Path) -> str:
    status = workspace.stat()
    return hashlib.sha256(f"{status.st_dev}:{status.st_ino}".encode()).hexdigest()[:16]


def starter() -> str:
    """This process for as long as the machine runs: boot, pid namespace, pid and the time it was started."""
    return f"{_boot()}:{_namespace()}:{os.getpid()}:{_started(os.getpid())}"


def is_gone(name: str, *, running: bool) -> bool:
    """Whether a `starter` has ended. One of another pid namespace cannot be judged; one of an earlier boot only by its container."""
    boot, namespace, pid, started = (*name.split(":"), "", "", "", "")[:4]
    if boot != _boot():
        return not running
    return namespace == _namespace() and (not pid.isdigit() or _started(int(pid)) != started)


async def remove(client: aiodocker.Docker, spec: SandboxSpec) -> None:
    """Remove each container whose starter is gone, and each of this session's that another process started: only one holds its lock."""
    key, own = session_key(spec.workspace), starter()
    for container in await client.containers.list(all=True, filters=json.dumps({"label": [STARTER]})):
        found: Mapping[str, str] = container["Labels"]
        is_ours = found.get(SESSION) == key and found.get(STARTER) != own
        if is_ours or is_gone(found.get(STARTER, ""), running=container["State"] == "running"):
            # Somebody else may be removing it.
            with contextlib.suppress(aiodocker.DockerError):
                await container.delete(force=True, v=True)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _namespace() -> str:
    return str(Path("/proc/self/ns/pid").readlink()).partition("[")[2].rstrip("]")


def _started(pid: int) -> str:
    """The start time in clock ticks since boot, empty when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
