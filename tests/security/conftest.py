"""The engines to attack. A new one is added to `ENGINES` and nowhere else."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel_gateway.errors import GatewayError
from kernel_gateway.image.store import Image
from kernel_gateway.sandbox.engines import make_engine
from tests.docker.daemon import AFTER_SETUP

from .arena import Arena

CONTAINERS = ("docker", "gvisor")
ENGINES = ("bubblewrap", *(pytest.param(name, marks=(pytest.mark.docker, AFTER_SETUP)) for name in CONTAINERS))


@pytest.fixture(scope="package", params=ENGINES)
def arena(request: pytest.FixtureRequest, image: Image) -> Iterator[Arena]:
    """Skipped, with the reason, where the engine does not work."""
    engine: str = request.param
    if engine in CONTAINERS:
        # A daemon of the tests' own, with our root file system.
        request.getfixturevalue("base")
    try:
        make_engine(engine)
    except GatewayError as error:
        pytest.skip(f"{engine} does not work here: {error.message}")
    # Not below pytest's own folder, which other users cannot pass.
    data = Path(tempfile.mkdtemp(prefix="cell-gateway-arena-"))
    data.chmod(0o711)
    arena = Arena(engine, data, image)
    yield arena
    asyncio.run(arena.close())
    shutil.rmtree(data)
