"""The facts that a number means nothing without. Nothing that names the machine or a path of it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

from kernel_gateway import __version__
from kernel_gateway.image.image import Image
from kernel_gateway.supervisor.environment import describe

SHOWN = ("ipykernel", "ipython", "pyzmq", "jupyter-client")


def load() -> str:
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def facts(image: Image, peers: Mapping[str, str], load_before: str) -> dict[str, str]:
    """``peers`` are versions by package name; the load average is of before and after, over 1, 5 and 15 minutes."""
    kernel = ", ".join(f"{name} {image.packages[name]}" for name in SHOWN if name in image.packages)
    return {
        "cell-gateway": __version__,
        "kernels": f"Python {image.python_version}, {kernel}, the image's, in all ways",
        "peers": ", ".join(f"{name} {version}" for name, version in peers.items()),
        "machine": f"{os.cpu_count()} x {describe(image)['cpu']}, {platform.system()} {platform.release()}",
        "load average": f"{load_before} before, {load()} after",
    }
