"""The tests of this folder once more, as a user without any right, when they run as root.

The user reaches neither root's home, where the Python of the tests may lie, nor needs an account: in a mount namespace of its own
the closed folders on the way are covered by empty ones that hold nothing but what the tests need, at the same paths.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kernel_gateway.sandbox import linux
from kernel_gateway.sandbox.users import PROBE_UID

from .conftest import needs_root

_PROJECT = Path(__file__).parents[2]
# A uid of its own, so that nothing else counts against its process limit.
_UID = PROBE_UID + 1


def closed_folders(path: Path) -> set[Path]:
    """The topmost folder on the way to ``path`` that others cannot pass, if any."""
    for parent in [*reversed(path.parents), path]:
        if not parent.stat().st_mode & 0o001:
            return {parent}
    return set()


def open_the_way(needed: list[Path]) -> None:
    """In a private mount namespace: cover each closed folder and show the needed ones below it again."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    opened = {path: os.open(path, os.O_PATH) for path in needed}
    for closed in {folder for path in needed for folder in closed_folders(path)}:
        linux.mount("none", str(closed), "tmpfs", 0, "mode=0755")
    for path, fd in opened.items():
        if not path.exists():
            path.mkdir(parents=True)
            linux.mount(f"/proc/self/fd/{fd}", str(path), flags=linux.MS_BIND | linux.MS_REC)
        os.close(fd)


def become_the_user(needed: list[Path]) -> None:
    open_the_way(needed)
    os.setgroups([])
    os.setresgid(_UID, _UID, _UID)
    os.setresuid(_UID, _UID, _UID)


@needs_root
def test_all_of_it_holds_for_an_ordinary_user() -> None:
    folder = Path(tempfile.mkdtemp(prefix="cell-gateway-user-"))
    os.chown(folder, _UID, _UID)
    needed = list(dict.fromkeys(path.resolve() for path in (_PROJECT, Path(sys.prefix), Path(sys.base_prefix))))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-rs",
        "--basetemp",
        str(folder / "tmp"),
        "tests/sandbox",
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_RUNTIME_DIR": str(folder),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
    }
    try:
        done = subprocess.run(
            command,
            cwd=_PROJECT,
            env=environment,
            preexec_fn=lambda: become_the_user(needed),
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    print(done.stdout[-20_000:], done.stderr[-5_000:])
    assert done.returncode == 0
    assert " passed" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="this is the ordinary user's own run")
def test_a_closed_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "home" / "inner").mkdir(parents=True)
    (tmp_path / "home").chmod(0o700)
    tmp_path.chmod(0o755)
    assert tmp_path / "home" in closed_folders(tmp_path / "home" / "inner") or closed_folders(tmp_path)
