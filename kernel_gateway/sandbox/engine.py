"""The interface of an engine: what makes a sandbox and tells its fate. An engine knows nothing of Jupyter, cells or journals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from ..session.policy import Policy

Tier = Literal["enforced", "watched", "none"]


@dataclass(frozen=True)
class Mount:
    """A file or folder of the machine shown at ``target`` inside."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True)
class SandboxSpec:
    """One sandbox. Nothing in it names the session: neutral folder names, no id, no key, no policy.

    ``command`` runs inside with exactly ``environment``, cwd ``/workspace``. Standard fixed places: ``image`` at ``/image`` (read-only),
    ``workspace`` at ``/workspace``, ``outputs`` at ``/outputs`` (read-only), ``layer`` at ``/home/user``, ``sockets`` at ``/run/kernel``;
    ``egress``, with the one socket that leads out, at ``/run/egress`` (read-only); ``mounts`` are further ones.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    image: Path
    workspace: Path
    outputs: Path
    layer: Path
    sockets: Path
    policy: Policy
    # The uid (and gid) that owns the writable folders and that the code runs as on the machine; None: the caller's own (never 0).
    uid: int | None = None
    mounts: Sequence[Mount] = field(default_factory=tuple)
    # None: no way out at all.
    egress: Path | None = None
    # False: workspace, layer and sockets are read-only too, for a sandbox that must leave nothing behind.
    writable: bool = True
    # Which sandbox of its session this is, for whoever looks at the machine; never seen inside.
    generation: int = 0


@dataclass(frozen=True)
class Exit:
    """How a sandbox ended: the command's exit status (negative: signal), and whether that was for want of memory.

    ``out_of_memory`` is only true when a kill was counted: by the kernel for the sandbox's cgroup, or by the engine's own watch.
    """

    status: int
    out_of_memory: bool = False


class Sandbox(Protocol):
    """A running sandbox. All processes in it end with the process that started it."""

    @property
    def isolation(self) -> Mapping[str, Tier]:
        """What this engine really enforces here, by limit: memory, processes, cpu, disk, network, files, syscalls, privileges (P9)."""
        ...

    async def signal_command(self, signum: int) -> None:
        """Signal the command's own process alone, never its children. Gone already: no error."""
        ...

    async def wait(self) -> Exit:
        """Until nothing of the sandbox runs any more. May be awaited many times."""
        ...

    async def stats(self) -> Mapping[str, int]:
        """``memory_bytes``, ``memory_peak_bytes``, ``processes``, ``out_of_memory_kills``, ``cpu_milliseconds``, where known."""
        ...

    async def freeze(self) -> None:
        """Stop all processes for a while; `stop` and a killed starter end them all the same. An engine that cannot does nothing."""
        ...

    def thaw(self) -> None:
        """Let them go on; they do soon after. Not frozen: nothing happens."""
        ...

    def log_tail(self) -> str:
        """The last 64 KB that bwrap and the command wrote to stdout and stderr, for diagnosis. Untrusted text."""
        ...

    async def stop(self) -> Exit:
        """Kill everything in it and return when it is gone and its cgroup, mounts and runtime files are removed."""
        ...


class Engine(Protocol):
    """A way to make sandboxes."""

    name: str

    def check(self) -> None:
        """Return when a sandbox can be made here. Raises EngineUnavailable with the reason and the commands that help."""
        ...

    async def start(self, spec: SandboxSpec, *, stdin: int | None = None, stdout: int | None = None) -> Sandbox:
        """Returns once the command is running (not: ready). Must be called on the main thread. Raises EngineUnavailable.

        ``stdin`` and ``stdout`` are descriptors for the command, still the caller's to close; by default it reads nothing and its
        output goes to the log.
        """
        ...
