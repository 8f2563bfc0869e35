"""The kernels of our server: one, under the names that clients ask for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel

PROVISIONER = "cell-gateway"
# Name: what it is called, its language, and the first line that makes a cell of its code.
SPECS = {
    "cell-gateway": ("Python, sandboxed", "python", ""),
    "python3": ("Python 3, sandboxed", "python", ""),
    "python": ("Python, sandboxed", "python", ""),
    "bash": ("Bash, sandboxed", "bash", "%%bash"),
    "javascript": ("JavaScript, sandboxed", "javascript", "%%node"),
}


def magic_of(name: str) -> str:
    """The first line that code for this kernel needs, or an empty text."""
    return SPECS[name][2] if name in SPECS else ""


class SessionKernelSpecs(KernelSpecManager):
    """Only ours; what else is installed on this machine would run outside a sandbox."""

    def find_kernel_specs(self) -> dict[str, str]:
        return {name: str(Path(__file__).parent / "kernelspec") for name in SPECS}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        if kernel_name not in SPECS:
            raise NoSuchKernel(kernel_name)
        shown, language, _ = SPECS[kernel_name]
        values: dict[str, Any] = {
            "argv": [sys.executable, "-m", "kernel_gateway.provisioner"],
            "display_name": shown,
            "language": language,
            "interrupt_mode": "message",
            "metadata": {"debugger": True, "kernel_provisioner": {"provisioner_name": PROVISIONER, "config": {}}},
        }
        return KernelSpec(resource_dir=self.find_kernel_specs()[kernel_name], **values)

    def remove_kernel_spec(self, name: str) -> str:
        raise NoSuchKernel(name)
