"""What a session has on the machine besides its folder, and what of that is still there once it was stopped."""

from __future__ import annotations

import json
import os
import select
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from kernel_gateway.sandbox.docker_daemon import ask
from kernel_gateway.sandbox.docker_strays import SESSION, session_key
from kernel_gateway.sandbox.limits.rlimits import descendants
from kernel_gateway.session.folder import SessionFolder, runtime_folder
from tests.conftest import LiveSession, alive

_PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/var/lib/cell-gateway")
# What a session's code makes lies in its folder alone; further down are only other tests' files.
_DEPTH = 4
_END_SECONDS = 30


@dataclass(frozen=True)
class Traces:
    """Looked up while the session lives."""

    folder: SessionFolder
    # None: not the session's alone.
    uid: int | None
    supervisor: int
    processes: tuple[int, ...]
    containers: tuple[str, ...]
    groups: tuple[Path, ...]

    def left(self) -> list[str]:
        """In words; empty when nothing is."""
        return [
            *(f"process {pid}" for pid in {*self.processes, *self._owned_processes()} if alive(pid)),
            *(f"container {name}" for name in containers_of(self.folder)),
            *(f"cgroup {group}" for group in self.groups if group.exists()),
            *(f"mount {line}" for line in Path("/proc/self/mounts").read_text().splitlines() if self._names(line)),
            *(f"loop device {loop}" for loop in Path("/sys/block").glob("loop*/loop/backing_file") if self._names(loop.read_text())),
            *(f"file {path}" for path in self._owned_files()),
            *(["control socket"] if (runtime_folder(self.folder) / "control").exists() else []),
        ]  # fmt: skip

    def _names(self, line: str) -> bool:
        return self.folder.id in line or any(name in line for name in self.containers)

    def _owned_processes(self) -> Iterator[int]:
        """Those of the session's uid, and those that hold its containers, which are the daemon's."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_text("utf-8", "replace")
                if process.stat().st_uid == self.uid or any(name in words for name in self.containers):
                    yield int(process.name)
            except OSError:
                continue

    def _owned_files(self) -> list[str]:
        if self.uid is None:
            return []
        command = [
            "find",
            *(p for p in _PLACES if Path(p).is_dir()),
            "-xdev",
            "-maxdepth",
            str(_DEPTH),
            "-path",
            str(self.folder.path),
            "-prune",
        ]
        done = subprocess.run([*command, "-o", "-uid", str(self.uid), "-print"], capture_output=True, check=False)
        return os.fsdecode(done.stdout).splitlines()


async def traces_of(session: LiveSession) -> Traces:
    supervisor, folder = int((await session.client.hello())["pid"]), session.folder
    containers = tuple(containers_of(folder))
    uid = folder.read()["uid"] if os.getuid() == 0 else None
    groups = tuple(group_folders(uid, containers))
    return Traces(folder, uid, supervisor, tuple(descendants(supervisor)), containers, groups)


async def stop(session: LiveSession, traces: Traces) -> None:
    """Until the supervisor is over: its lock, for which a stop waits, is let go a moment before."""
    ended = os.pidfd_open(traces.supervisor)
    try:
        await session.client.stop()
        assert select.select([ended], [], [], _END_SECONDS)[0] == [ended]
    finally:
        os.close(ended)


def containers_of(folder: SessionFolder) -> list[str]:
    host = os.environ.get("DOCKER_HOST", "")
    if not host:
        return []
    filters = quote(json.dumps({"label": [f"{SESSION}={session_key(folder.workspace)}"]}))
    return [c["Id"] for c in ask(Path(host.removeprefix("unix://")), f"/containers/json?all=true&filters={filters}")[1]]


def group_folders(uid: int | None, containers: tuple[str, ...]) -> Iterator[Path]:
    """Those of the containers, and those in which nothing but the uid's processes is."""
    # Others' groups come and go meanwhile; a walk passes over them.
    for folder, _, _ in os.walk("/sys/fs/cgroup"):
        if any(name in folder for name in containers) or _owners(Path(folder, "cgroup.procs")) == {uid}:
            yield Path(folder)


def _owners(members: Path) -> set[int]:
    found = set[int]()
    try:
        for pid in members.read_text().split():
            found.add(Path(f"/proc/{pid}").stat().st_uid)
    except OSError:
        pass
    return found
