"""The root file system of containers: a small Debian of this machine's own release, imported into the container engine.

What sessions run, Python, packages and Node, stays in the image folder, which is shown at ``/image``: here is what that needs from a
system, and the programs that shell cells expect. It is made from the machine's own package sources, so that its C library is the one
that the image was made for.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ImageUnavailable
from . import apt_sources
from .interpreter import own_interpreter
from .progress import Progress, silent

PACKAGES = (
    "bzip2", "ca-certificates", "curl", "file", "fonts-dejavu-core", "git", "less", "libatomic1", "libgomp1", "libstdc++6", "make",
    "patch", "procps", "tzdata", "unzip", "xz-utils", "zip",
)  # fmt: skip
_LEFT_OUT = ("doc", "info", "locale", "lintian", "man", "bug", "bash-completion", "doc-base")
# In the finished tree, by the shell: the places of a sandbox, its accounts (shown over empty files), nothing of this machine, and
# no program that takes another's rights.
_FINISH = """\
cd "$1"
mkdir -p workspace outputs image home/user
rm -rf var/tmp var/log/* etc/apt/sources.list* etc/machine-id etc/passwd- etc/group- etc/shadow* etc/gshadow* etc/hostname \
  etc/resolv.conf etc/ssl/private boot media mnt opt srv usr/local usr/games usr/src usr/share/doc root
ln -s ../tmp var/tmp
rm -f etc/passwd etc/group
touch etc/passwd etc/group
ln -sf /proc/mounts etc/mtab
ln -sf /usr/share/zoneinfo/Etc/UTC etc/localtime
echo Etc/UTC > etc/timezone
printf '127.0.0.1\\tlocalhost sandbox\\n::1\\tlocalhost\\n' > etc/hosts
printf '%s\\n' 'passwd: files' 'group: files' 'shadow: files' 'hosts: files' 'services: files' 'protocols: files' > etc/nsswitch.conf
find usr etc var -xdev -type f -perm /6000 -exec chmod a-s {} +
find usr -xdev -name __pycache__ -prune -exec rm -rf {} +
"""
_NO_MMDEBSTRAP = "sudo apt-get install -y mmdebstrap"
_NOT_DEBIAN = """\
It is made from the packages of Debian or Ubuntu, by mmdebstrap. Here, use the engine bubblewrap (--engine bubblewrap), or make it on a
Debian or Ubuntu machine with the same C library and bring it here:
  docker save IMAGE | ssh THIS-MACHINE docker load"""


@dataclass(frozen=True)
class RootFilesystem:
    """A tar file, how to name it, and labels for the engine. ``digest`` covers every package with its version."""

    archive: Path
    digest: str
    libc: str
    packages: Mapping[str, str]


def build(folder: Path, progress: Progress = silent) -> RootFilesystem:
    """Make it in ``folder``, which must exist and is the caller's to remove. Some 20 seconds, most of it for packages to come.

    Raises ImageUnavailable with what is missing and the commands that help.
    """
    program = _mmdebstrap()
    sources = apt_sources.own()
    progress("choosing packages", 0.0)
    packages = sorted({*PACKAGES, *_packages_of_libraries()})
    archive = folder / "root.tar"
    progress("installing Debian packages", 0.05)
    _make(program, sources, packages, archive)
    progress("reading the result", 0.9)
    return described(archive)


def described(archive: Path) -> RootFilesystem:
    """What a file that `build` made on this machine holds."""
    installed = _installed(archive)
    libc = " ".join(platform.libc_ver())
    recipe = {"packages": dict(installed), "finish": _FINISH, "left out": _LEFT_OUT}
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return RootFilesystem(archive, digest, libc, installed)


def _mmdebstrap() -> str:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise ImageUnavailable(
            f"This is {_system()}: the root file system of containers cannot be made here.", _NOT_DEBIAN
        )
    if (program := shutil.which("mmdebstrap")) is None:
        raise ImageUnavailable(
            "mmdebstrap, which makes the root file system of containers, is not installed.",
            f"Install it: {_NO_MMDEBSTRAP}",
        )
    return program


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _make(program: str, sources: apt_sources.Sources, packages: Sequence[str], archive: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="cell-gateway-") as scratch:
        listing, settings = Path(scratch, f"machine.{sources.kind}"), Path(scratch, "apt.conf")
        listing.write_text(sources.text)
        settings.write_text(sources.settings)
        finish = Path(scratch, "finish")
        finish.write_text(f"#!/bin/sh\nset -e\n{_FINISH}")
        finish.chmod(0o755)
        options = ["--quiet", "--variant=minbase", "--format=tar", f"--include={','.join(packages)}"]
        options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
        options += ["--aptopt=Apt::Install-Recommends false", f"--aptopt={settings}", f"--customize-hook={finish}"]
        command = [program, *options, sources.suite, str(archive), str(listing)]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "LC_ALL": "C"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        raise ImageUnavailable(
            f"mmdebstrap failed: {done.stderr.strip()[-1500:]}", "Check that this works: sudo apt-get update"
        )


def _packages_of_libraries() -> set[str]:
    """Those that hold the libraries of the machine which the copied interpreter needs."""
    probe = Path(__file__).with_name("probe.py")
    command = [str(own_interpreter().executable), "-I", "-S", str(probe)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise ImageUnavailable(
            f"{command[0]} cannot be started: {found.stderr.strip()[-300:]}", "Run cell-gateway with another Python."
        )
    paths = [path for path in json.loads(found.stdout) if path.startswith(("/usr/lib/", "/lib/"))]
    return _owners(paths)


def _owners(paths: Sequence[str]) -> set[str]:
    """The packages of files. dpkg knows some by their place before /lib became a link to /usr/lib, and does not find the other names."""
    names = [*paths, *(p.removeprefix("/usr") if p.startswith("/usr/") else f"/usr{p}" for p in paths)]
    found = subprocess.run(["dpkg", "-S", *names], capture_output=True, text=True, check=False)
    return {line.split(":")[0] for line in found.stdout.splitlines() if ": /" in line and "diversion by" not in line}


def _installed(archive: Path) -> dict[str, str]:
    """Packages and versions, from dpkg's own list in the tar file."""
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.lstrip("./") == "var/lib/dpkg/status" and (file := tar.extractfile(member)) is not None:
                return dict(stanzas(file.read().decode("utf-8", "replace")))
    raise ImageUnavailable("mmdebstrap made no Debian system.", "Please report this.")


def stanzas(text: str) -> Iterable[tuple[str, str]]:
    """Name and version of each installed package in dpkg's ``status``."""
    for stanza in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line.startswith(" "))
        if "installed" in fields.get("Status", "").split():
            yield fields["Package"], fields["Version"]
