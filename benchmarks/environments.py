"""Peers in environments of their own, below the cache folder: jupyter_kernel_gateway has our import name and must never meet us."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import uv

from kernel_gateway.errors import GatewayError
from kernel_gateway.image.image import Image

REQUIREMENTS = {
    "nbclient": ("nbclient>=0.10", "ipykernel=={ipykernel}"),
    "gateway": ("jupyter_kernel_gateway>=3,<4", "ipykernel=={ipykernel}"),
}
# The versions that the table names, by environment.
NAMED = {"nbclient": ("jupyter_client", "nbclient", "nbformat", "pyzmq"), "gateway": ("jupyter_kernel_gateway",)}


class PeerUnavailable(GatewayError):
    """There is nothing to compare with."""

    exit_code = 3


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/cell-gateway/benchmarks``. Sessions are measured there too: a tmpfs would make their fdatasync free."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "cell-gateway" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ensure(name: str, image: Image, say: Callable[[str], None]) -> Path:
    """The Python of that environment, made when it is missing or was made for other requirements."""
    folder = cache_folder() / name
    wanted = [r.format(**image.packages) for r in REQUIREMENTS[name]] + [f"python {sys.version}"]
    python, marker = folder / "bin" / "python", folder / "made-for.json"
    if marker.is_file() and json.loads(marker.read_text()) == wanted:
        return python
    say(f"making the environment of {name}")
    shutil.rmtree(folder, ignore_errors=True)
    _uv("venv", "--quiet", "--python", sys.executable, str(folder))
    _uv("pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *wanted[:-1])
    marker.write_text(json.dumps(wanted))
    return python


def versions(name: str, python: Path) -> dict[str, str]:
    code = "import json, sys; from importlib.metadata import version as v; print(json.dumps({n: v(n) for n in sys.argv[1:]}))"
    found = subprocess.run([python, "-c", code, *NAMED[name]], check=True, capture_output=True, text=True, cwd="/")
    return json.loads(found.stdout)


def _uv(*arguments: str) -> None:
    done = subprocess.run([uv.find_uv_bin(), *arguments], check=False, stdout=sys.stderr)
    if done.returncode != 0:
        raise PeerUnavailable("A peer could not be installed.", "The package registry must be reachable: see above.")


def plain_kernel(image: Image, connection_file: str) -> list[str]:
    """The image's kernel where it lies, without what we set for life in our sandbox."""
    python = image.root / "python" / "bin" / "python3"
    ours = image.kernel_command(connection_file)[1:]
    return [str(python), *(word for word in ours if not word.startswith("--IPKernelApp."))]


def write_kernelspec(folder: Path, image: Image) -> None:
    """The image's own kernel as the kernel ``image`` of all peers: ``folder`` is to be their JUPYTER_PATH."""
    command = plain_kernel(image, "{connection_file}")
    environment = {"LD_LIBRARY_PATH": str(image.root / "python" / "lib")} if image.needs_library_path else {}
    environment["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    spec = {"argv": command, "display_name": "image", "language": "python", "env": environment}
    place = folder / "kernels" / "image"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec))
