"""A folder of tests once more, as a user without any right, when they run as root.

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

from kernel_gateway.sandbox import linux

_PROJECT = Path(__file__).parents[1]


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


def become_the_user(uid: int, needed: list[Path]) -> None:
    open_the_way(needed)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def run_tests(tests: str, uid: int, *places: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a folder of tests as ``uid``, which also reaches ``places``. What they printed is printed."""
    folder = Path(tempfile.mkdtemp(prefix="cell-gateway-user-"))
    os.chown(folder, uid, uid)
    paths = (_PROJECT, Path(sys.prefix), Path(sys.base_prefix), *places)
    needed = list(dict.fromkeys(path.resolve() for path in paths))
    own = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_RUNTIME_DIR": str(folder),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
    }
    options = ["-q", "-p", "no:cacheprovider", "-rs", "--basetemp", str(folder / "tmp")]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, tests],
            cwd=_PROJECT,
            env={**own, **environment},
            preexec_fn=lambda: become_the_user(uid, needed),
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    print(done.stdout[-20_000:], done.stderr[-5_000:])
    return done
