"""The daemon and the root file system that all tests of container engines share, once for the whole run."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel_gateway.image import rootfs
from kernel_gateway.sandbox.docker_base import import_base
from kernel_gateway.sandbox.docker_daemon import find_daemon

from . import dockerd

_DAY = 86400
# On a bare machine the first of these tests installs a daemon and makes a root file system: that is not the test's time.
AFTER_SETUP = pytest.mark.timeout(func_only=True)


@pytest.fixture(scope="session")
def docker_socket() -> Iterator[Path]:
    """A daemon for all tests here, found by them as by a person's commands: through the environment."""
    dockerd.require_programs()
    with dockerd.running() as socket:
        os.environ["DOCKER_HOST"] = f"unix://{socket}"
        yield socket
        del os.environ["DOCKER_HOST"]


@pytest.fixture(scope="session")
def base(docker_socket: Path, pytestconfig: pytest.Config) -> rootfs.RootFilesystem:
    """The root file system of containers: made here, or a day ago at most by the same code."""
    code = Path(rootfs.__file__).read_bytes()
    folder = Path(pytestconfig.cache.mkdir("rootfs-" + hashlib.sha256(code).hexdigest()[:12]))
    archive = folder / "root.tar"
    if not archive.exists() or time.time() - archive.stat().st_mtime > _DAY:
        (folder / "new").mkdir(exist_ok=True)
        rootfs.build(folder / "new").archive.rename(archive)
    made = rootfs.described(archive)
    asyncio.run(import_base(find_daemon("docker"), made.archive, made.digest, made.libc))
    return made
