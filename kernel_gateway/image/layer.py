"""A session's own layer over an image: its HOME, with a virtual environment that pip installs into."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .image import HOME, MATPLOTLIB_CACHE, PLACE, Image

_PIP = f"#!{HOME}/venv/bin/python\nimport sys\n\nfrom pip._internal.cli.main import main\n\nsys.exit(main())\n"


def prepare_layer(image: Image, layer: Path, uid: int | None) -> None:
    """Make ``venv/`` in ``layer`` (bound at ``/home/user``) and give what was made to ``uid``. Starts no process.

    A layer that has a ``venv`` is left as it is: it belongs to the session, and nothing in it is followed or trusted. So call this
    while no sandbox has the layer: one whose ``venv`` was removed gets a new one, beside whatever else lies there.
    """
    if os.path.lexists(layer / "venv"):
        return
    made = [layer, *_environment(image, layer / "venv"), *_matplotlib_cache(image, layer)]
    if uid is not None:
        for path in made:
            os.chown(path, uid, uid, follow_symlinks=False)


def _environment(image: Image, venv: Path) -> list[Path]:
    folders = _folders(venv, "bin", "lib", f"lib/{image.python_name}", f"lib/{image.python_name}/site-packages")
    links = {"bin/python": image.python, "bin/python3": "python", f"bin/{image.python_name}": "python", "lib64": "lib"}
    for name, target in links.items():
        (venv / name).symlink_to(target)
    settings = venv / "pyvenv.cfg"
    settings.write_text(
        f"home = {PLACE}/python/bin\ninclude-system-site-packages = true\nversion = {image.python_version}\n"
    )
    scripts = [venv / "bin" / name for name in ("pip", "pip3")]
    for script in scripts:
        script.write_text(_PIP)
        script.chmod(0o755)
    return [venv, *folders, *(venv / name for name in links), settings, *scripts]


def _matplotlib_cache(image: Image, layer: Path) -> list[Path]:
    """matplotlib wants a folder that it can write to, and prints a note when it must search for fonts first."""
    caches = sorted((image.root / MATPLOTLIB_CACHE).glob("fontlist-*.json"))
    if not caches or os.path.lexists(layer / ".config"):
        return []
    folders = _folders(layer, ".config", ".config/matplotlib")
    copies = [folders[-1] / cache.name for cache in caches]
    for cache, copy in zip(caches, copies, strict=True):
        shutil.copyfile(cache, copy)
    return [*folders, *copies]


def _folders(base: Path, *names: str) -> list[Path]:
    folders = [base / name for name in names]
    for folder in folders:
        folder.mkdir(mode=0o755, parents=True)
    return folders
