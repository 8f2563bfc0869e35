"""``image build --engine``: the root file system of containers, made and given to the engine."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from ..sandbox.docker_daemon import find_daemon, require_package
from ..sandbox.engines import container_engine
from . import rootfs
from .progress import Progress, silent


def build_base(engine: str, progress: Progress = silent) -> str:
    """Make it from the packages of today and let ``engine`` use it from now on; running sandboxes keep theirs. Returns its digest.

    Raises BadRequest for another engine, EngineUnavailable without a daemon, ImageUnavailable when it cannot be made here.
    """
    name = container_engine(engine)
    require_package(name)
    daemon = find_daemon(name)
    from ..sandbox.docker_base import import_base

    with tempfile.TemporaryDirectory(prefix="cell-gateway-") as scratch:
        made = rootfs.build(Path(scratch), progress)
        progress(f"giving it to {engine}", 0.95)
        asyncio.run(import_base(daemon, made.archive, made.digest, made.libc))
    progress("done", 1.0)
    return made.digest
