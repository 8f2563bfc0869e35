"""A built image: what a sandbox shows at ``/image``, and what a kernel in it is started with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PLACE = "/image"
HOME = "/home/user"
MATPLOTLIB_CACHE = "cache/matplotlib"


@dataclass(frozen=True)
class Image:
    """``root`` is to be bound read-only at ``/image``. ``recipe`` names everything that was put in; ``digest`` is its SHA-256 in hex.

    ``packages`` maps names to versions. ``created`` is UTC, ISO 8601.
    """

    name: str
    digest: str
    root: Path
    recipe: Mapping[str, Any]
    python_version: str
    packages: Mapping[str, str] = field(default_factory=dict[str, str])
    node_version: str = ""
    created: str = ""
    size_bytes: int = 0
    # Whether the interpreter finds its shared library only by LD_LIBRARY_PATH.
    needs_library_path: bool = False
    python: str = f"{PLACE}/python/bin/python3"

    @property
    def lock(self) -> Path:
        """The lock file that it was installed from: requirements with hashes."""
        return self.root.parent / "lock.txt"

    @property
    def pylock(self) -> Path:
        """The same for this Python and platform as a PEP 751 lock; it names no address."""
        return self.root.parent / "pylock.toml"

    @property
    def python_name(self) -> str:
        """``python3.11``"""
        return "python" + ".".join(self.python_version.split(".")[:2])

    def environment(self, cpus: float | None = None) -> dict[str, str]:
        """All that a kernel's environment holds, the same on each machine. ``cpus`` is what the session may use, for numeric libraries."""
        threads = {} if cpus is None else dict.fromkeys(_THREADS, str(max(1, math.ceil(cpus))))
        libraries = {"LD_LIBRARY_PATH": f"{PLACE}/python/lib"} if self.needs_library_path else {}
        return {**_ENVIRONMENT, **threads, **libraries}

    def kernel_command(self, connection_file: str) -> list[str]:
        """Start ipykernel from the session's layer. It prints nothing unless something is wrong."""
        return [
            f"{HOME}/venv/bin/python",
            *("-m", "ipykernel_launcher", "-f", connection_file),
            # No history database in the layer: the notebook is the history.
            "--HistoryManager.hist_file=:memory:",
            # Its parent is PID 1 of the sandbox. ipykernel polls for no such parent, and without any it prints advice meant for terminals.
            "--IPKernelApp.parent_handle=1",
            f"--IPKernelApp.exec_lines={_KEEP_ALL_OUTPUT}",
        ]


# ZMQ's publishers drop what their reader has not taken beyond 1,000 messages, and tell nobody. What waits counts as the kernel's memory.
# 23 is SNDHWM; the socket belongs to that thread.
_KEEP_ALL_OUTPUT = (
    "(lambda thread: thread.schedule(lambda: thread.socket.setsockopt(23, 0)))(get_ipython().kernel.iopub_thread)"
)


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_MAX_THREADS")
_ENVIRONMENT = {
    "HOME": HOME,
    "USER": "user",
    "LOGNAME": "user",
    "SHELL": "/bin/bash",
    "PATH": f"{HOME}/venv/bin:{HOME}/.local/bin:{PLACE}/python/bin:/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "1",
    # pydevd's note about frozen modules would be the first line of each kernel's stderr.
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "VIRTUAL_ENV": f"{HOME}/venv",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "MPLCONFIGDIR": f"{HOME}/.config/matplotlib",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_NO_INPUT": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
    # `npm install -g` lands in the layer, and `require` finds it there.
    "NPM_CONFIG_PREFIX": f"{HOME}/.local",
    "NPM_CONFIG_UPDATE_NOTIFIER": "false",
    "NPM_CONFIG_FUND": "false",
    "NPM_CONFIG_AUDIT": "false",
    "NODE_PATH": f"{HOME}/.local/lib/node_modules",
}
