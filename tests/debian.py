"""Packages of the machine's own that a test needs, on a bare Debian machine under root."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_SECONDS = 600


def install(*packages: str) -> str:
    """What kept them from being installed; empty when they are there. Processes that run tests at once take turns: apt does not wait."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"they are missing: {' '.join(packages)}"
    print(f"\nInstalling {', '.join(packages)} for tests", file=sys.stderr, flush=True)
    # A service that a package would start is none of ours.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    with Path(tempfile.gettempdir(), "cell-gateway-tests.apt").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for step in (["apt-get", "update", "-qq"], command):
            done = subprocess.run(step, capture_output=True, text=True, env=environment, timeout=_SECONDS, check=False)
            if done.returncode != 0:
                return f"{' '.join(step)} failed: {done.stderr[-500:]}"
    return ""
