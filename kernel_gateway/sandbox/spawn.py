"""The step from our process to bwrap: between fork and exec the child enters its limits, mounts what it may see, and drops root.

bwrap itself asks to end with the process that started it (``--die-with-parent``). Until it has, the gate of `bubblewrap` keeps
anything from running without us. Root's bwrap is process 1 of a pid namespace around it, so that nothing of it can stay behind at all.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from . import linux

# In the child's own mount namespace this place is covered by a tmpfs that holds the sources of a root session.
STAGE = Path("/tmp")
# The descriptor at which the sandbox's first program finds the starter.
GATE = 3
_EXIT_UNABLE = 127


class SpawnFailed(Exception):
    """The child could not become bwrap; the text says at which step and why."""


@dataclass(frozen=True)
class Program:
    """What is executed: a path, or for a user who cannot reach that path the ``files`` to copy below `STAGE` first."""

    path: Path
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


@dataclass(frozen=True)
class Stage:
    """How root prepares: each source is bound under a neutral name below `STAGE`, then everything becomes ``uid``."""

    uid: int
    sources: Mapping[str, Path]


@dataclass(frozen=True)
class Launch:
    """One process to be. ``keep`` are the descriptors it inherits besides standard ones and the gate."""

    program: Program
    arguments: Sequence[str]
    stdin: int
    stdout: int
    stderr: int
    gate: int | None = None
    keep: Sequence[int] = ()
    join: Sequence[int] = ()
    rlimits: Sequence[tuple[int, int]] = ()
    stage: Stage | None = None


def spawn(launch: Launch) -> int:
    """The pid of a child that is bwrap now, with an empty environment. Call it on the main thread. Raises SpawnFailed."""
    reader, writer = linux.pipe()
    try:
        if launch.stage is None:
            # bwrap's process 1 is an orphan when the command ends first; a container may have no init that reaps it.
            linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
            pid = linux.fork()
        else:
            pid = linux.fork_apart()
    except OSError as error:
        os.close(writer)
        os.close(reader)
        raise SpawnFailed(f"{error.filename or 'fork'}: {error.strerror}") from error
    if pid == 0:
        _become(launch, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        problem = stream.read()
    if problem:
        os.waitpid(pid, 0)
        raise SpawnFailed(problem.decode("utf-8", "replace"))
    return pid


def reap(pid: int) -> int:
    """Wait for the end of a process and tell its exit status; 0 when it was not ours, as process 1 mostly is not: bwrap reaps it."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return 0


def reap_orphans() -> None:
    """End and reap process 1 of each sandbox of an ordinary user whose bwrap ended first; only a child subreaper gets any.

    Root has none: its bwrap ends after all that it started.
    """
    if os.geteuid() == 0:
        return
    for listing in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, listing.read_text().split()):
            if _is_process_one(pid):
                os.kill(pid, signal.SIGKILL)
                reap(pid)


def _is_process_one(child: int) -> bool:
    """Whether this child of ours is a bwrap in a pid namespace below ours, which is never the one that we started ourselves."""
    try:
        text = Path(f"/proc/{child}/status").read_text()
    except OSError:
        return False
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return fields["Name"].strip() == "bwrap" and len(fields["NSpid"].split()) > 1 and fields["NSpid"].split()[-1] == "1"


def _become(launch: Launch, errors: int) -> None:
    """Never returns: whatever happens here must not go on as a second copy of our program."""
    try:
        _prepare(launch, errors)
        os.execve(launch.program.path, list(launch.arguments), {})
    except OSError as error:
        os.write(errors, f"{error.filename or launch.program.path}: {error.strerror}".encode())
    finally:
        os._exit(_EXIT_UNABLE)


def _prepare(launch: Launch, errors: int) -> None:
    _reset_signals()
    os.setsid()
    os.umask(0o022)
    for fd in launch.join:
        os.write(fd, b"0")
    # The machine's own out-of-memory killer, too, takes a sandbox before anything else.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    if launch.stage is not None:
        _mount_stage(launch.stage, launch.program)
    _set_rlimits(launch.rlimits)
    if launch.stage is not None:
        _drop_to(launch.stage.uid)
    _arrange_descriptors(launch, errors)


def _reset_signals() -> None:
    """An ignored or blocked signal is inherited by exec, and a kernel started so cannot be interrupted."""
    for number in signal.valid_signals():
        with suppress(OSError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _mount_stage(stage: Stage, program: Program) -> None:
    """The stage hides what lies below it, so the sources are opened first: by descriptor they stay reachable."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_SLAVE)
    opened = {name: os.open(source, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC) for name, source in stage.sources.items()}
    linux.mount("none", str(STAGE), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=0755,size=16m")
    linux.mount("none", str(STAGE), flags=linux.MS_PRIVATE)
    for name, fd in opened.items():
        target = STAGE / name
        if Path(f"/proc/self/fd/{fd}").is_dir():
            target.mkdir()
        else:
            target.touch()
        linux.mount(f"/proc/self/fd/{fd}", str(target), flags=linux.MS_BIND | linux.MS_REC)
        linux.mount("none", str(target), flags=linux.MS_PRIVATE | linux.MS_REC)
        os.close(fd)
    for name, data in program.files.items():
        path = STAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755)


def _set_rlimits(rlimits: Sequence[tuple[int, int]]) -> None:
    for kind, wanted in rlimits:
        _, hard = resource.getrlimit(kind)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))


def _drop_to(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _arrange_descriptors(launch: Launch, errors: int) -> None:
    for target, fd in enumerate((launch.stdin, launch.stdout, launch.stderr)):
        os.dup2(fd, target)
    kept = {0, 1, 2, errors, *launch.keep}
    if launch.gate is not None:
        os.dup2(launch.gate, GATE)
        kept.add(GATE)
    for fd in launch.keep:
        os.set_inheritable(fd, True)
    for entry in list(Path("/proc/self/fd").iterdir()):
        if (fd := int(entry.name)) not in kept:
            with suppress(OSError):
                os.close(fd)
