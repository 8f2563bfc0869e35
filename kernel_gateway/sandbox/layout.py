"""What can be seen inside a sandbox, as options of bwrap.

Of the machine: its programs and libraries below /usr, read-only, and from /etc only what they need to start. Everything is read
by descriptor (``--args``, ``--file``), so neither the command line nor a file on disk shows a path of the machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import linux
from .engine import Mount, SandboxSpec
from .spawn import STAGE

USER_ID = 1000
HOSTNAME = "sandbox"
MEGABYTE = 1024**2

_USR = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec", "share", "include")
_ETC = (
    "alternatives", "ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf", "pki/tls/certs", "pki/tls/cert.pem",
    "pki/ca-trust/extracted", "ca-certificates/extracted", "fonts", "mime.types", "debian_version", "os-release", "ld.so.cache",
)  # fmt: skip
_ETC_GENERATED = {
    "passwd": f"root:x:0:0:root:/root:/usr/sbin/nologin\nuser:x:{USER_ID}:{USER_ID}:user:/home/user:/bin/bash\n",
    "group": f"root:x:0:\nuser:x:{USER_ID}:\n",
    "hosts": f"127.0.0.1\tlocalhost {HOSTNAME}\n::1\tlocalhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\nprotocols: files\n",
    "timezone": "Etc/UTC\n",
}
# Facts about the machine that programs do without. What only root may read is left as it is.
PROC_FOLDERS = ("acpi", "driver", "fs", "scsi")
PROC_FILES = (
    "cmdline", "config.gz", "consoles", "diskstats", "interrupts", "iomem", "ioports", "kallsyms", "kcore", "key-users", "keys",
    "kmsg", "locks", "modules", "partitions", "sched_debug", "softirqs", "swaps", "timer_list", "version_signature",
)  # fmt: skip


@dataclass
class Options:
    """bwrap's options in order, and the descriptors they speak of."""

    words: list[str] = field(default_factory=list[str])
    fds: list[int] = field(default_factory=list[int])

    def add(self, *words: str) -> None:
        self.words += words

    def file(self, target: str, text: str) -> None:
        """A read-only file of the sandbox with this content."""
        self.fds.append(fd := linux.memory_file(text.encode()))
        self.add("--perms", "0444", "--file", str(fd), target)

    def descriptor(self, data: bytes) -> int:
        self.fds.append(fd := linux.memory_file(data))
        return fd

    def packed(self) -> int:
        """The descriptor for ``--args``."""
        return self.descriptor(b"\0".join(map(os.fsencode, self.words)) + b"\0")

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()


def sources(spec: SandboxSpec) -> dict[str, Path]:
    """The folders and files of a session by the neutral names that `places` gives them."""
    fixed = {
        "image": spec.image.resolve(),
        "workspace": spec.workspace,
        "outputs": spec.outputs,
        "layer": spec.layer,
        "sockets": spec.sockets,
    }
    if spec.egress is not None:
        fixed["egress"] = spec.egress
    return {**fixed, **{f"mount{i}": mount.source.resolve() for i, mount in enumerate(spec.mounts)}}


def places(spec: SandboxSpec, *, staged: bool) -> dict[str, str]:
    """Where bwrap finds each of `sources`."""
    return {name: str(STAGE / name) if staged else str(path) for name, path in sources(spec).items()}


def write_options(options: Options, spec: SandboxSpec, filter_program: bytes, *, staged: bool) -> None:
    """The whole sandbox of ``spec``; the command itself is not part of it."""
    add_isolation(options, filter_program)
    options.add("--clearenv")
    for name, value in spec.environment.items():
        options.add("--setenv", name, value)
    add_programs(options)
    add_etc(options)
    _add_proc(options)
    _add_temporary_folders(options, spec.policy.memory)
    _add_session(options, places(spec, staged=staged), spec.mounts, writable=spec.writable)
    options.add("--chdir", "/workspace", "--remount-ro", "/")


def add_isolation(options: Options, filter_program: bytes) -> None:
    """Namespaces, privileges and the filter."""
    options.add("--unshare-all", "--unshare-user", "--disable-userns", "--uid", str(USER_ID), "--gid", str(USER_ID))
    options.add("--hostname", HOSTNAME, "--new-session", "--die-with-parent", "--cap-drop", "ALL")
    options.add("--seccomp", str(options.descriptor(filter_program)))


def add_programs(options: Options) -> None:
    """/usr less its local and source parts, and the folders or links of the root that lead there.

    bwrap makes missing parents with mode 0700, so they are made first.
    """
    for folder in ("/usr", "/etc", "/etc/ssl", "/home", "/var"):
        options.add("--perms", "0755", "--dir", folder)
    for name in _USR:
        if (source := Path("/usr") / name).is_dir():
            options.add("--ro-bind", str(source), str(source))
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        link = Path("/") / name
        if link.is_symlink():
            options.add("--symlink", str(link.readlink()), str(link))
        elif link.is_dir():
            options.add("--ro-bind", str(link), str(link))


def add_etc(options: Options) -> None:
    for name, text in _ETC_GENERATED.items():
        options.file(f"/etc/{name}", text)
    for name in _ETC:
        if os.access(source := f"/etc/{name}", os.R_OK):
            options.add("--ro-bind-try", source, source)
    options.add("--symlink", "/usr/share/zoneinfo/Etc/UTC", "/etc/localtime", "--symlink", "/proc/mounts", "/etc/mtab")


def _add_proc(options: Options) -> None:
    """Process 1 is covered because it is bwrap: its ``exe`` leads to the program on the machine, past all read-only mounts, and an
    ordinary user owns that file. /proc/sys is, because a process that is root on the machine needs no capability to write it.
    """
    options.add("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys")
    for name in ("1", *(name for name in PROC_FOLDERS if Path("/proc", name).is_dir())):
        options.add("--perms", "0555", "--size", "4096", "--tmpfs", f"/proc/{name}", "--remount-ro", f"/proc/{name}")
    for name in PROC_FILES:
        if Path("/proc", name).exists():
            # A device that is bound without device rights can be opened by nobody.
            options.add("--ro-bind", "/dev/null", f"/proc/{name}")


def shared_memory_size(memory: int) -> int:
    """Bytes of /dev/shm. The sum of all temporary folders stays below a quarter of ``memory``, so that a full one is an error of the
    program and not its death.
    """
    return min(512 * MEGABYTE, memory // 12)


def temporary_folders(memory: int) -> list[tuple[str, str, int]]:
    """The others: path, mode and bytes."""
    return [("/tmp", "1777", min(512 * MEGABYTE, memory // 8)), ("/run", "0755", min(16 * MEGABYTE, memory // 64))]


def _add_temporary_folders(options: Options, memory: int) -> None:
    options.add("--dev", "/dev")
    _tmpfs(options, "/dev/shm", "1777", shared_memory_size(memory))
    options.add("--remount-ro", "/dev")
    for path, mode, size in temporary_folders(memory):
        _tmpfs(options, path, mode, size)
    options.add("--symlink", "../tmp", "/var/tmp")


def _tmpfs(options: Options, target: str, mode: str, size: int) -> None:
    options.add("--perms", mode, "--size", str(size), "--tmpfs", target)


def _add_session(options: Options, found: Mapping[str, str], mounts: Sequence[Mount], *, writable: bool) -> None:
    bind = "--bind" if writable else "--ro-bind"
    options.add("--ro-bind", found["image"], "/image", "--ro-bind", found["outputs"], "/outputs")
    options.add(
        bind,
        found["workspace"],
        "/workspace",
        bind,
        found["layer"],
        "/home/user",
        bind,
        found["sockets"],
        "/run/kernel",
    )
    if "egress" in found:
        options.add("--ro-bind", found["egress"], "/run/egress")
    for i, mount in enumerate(mounts):
        options.add("--bind" if mount.writable else "--ro-bind", found[f"mount{i}"], mount.target)


def mount_points(spec: SandboxSpec) -> Iterable[tuple[Path, str, bool]]:
    """Mounts that lie inside a folder which the session may write: (that folder, path below it, whether a folder is mounted)."""
    for mount in spec.mounts:
        for root, source in (("/workspace/", spec.workspace), ("/home/user/", spec.layer)):
            if mount.target.startswith(root):
                yield source, mount.target[len(root) :], mount.source.is_dir()
