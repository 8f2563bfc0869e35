"""What a session's notebook says of the machine it ran on: facts that a re-run may need, nothing that names the machine."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from ..image.store import Image


def describe(image: Image) -> dict[str, Any]:
    """Python, platform, CPU and the fixed settings of the image's environment."""
    environment = image.environment()
    return {
        "python": image.python_version,
        "platform": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "cpu": _cpu_model(),
        "locale": environment.get("LANG", ""),
        "tz": environment.get("TZ", ""),
        "hashseed": environment.get("PYTHONHASHSEED", ""),
        "packages": dict(image.packages),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
