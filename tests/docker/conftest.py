"""The same sessions as everywhere, in containers: each test here runs with Docker's own runtime and with gVisor's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from kernel_gateway.image import rootfs
from kernel_gateway.image.store import Image
from kernel_gateway.sandbox.docker import DockerEngine
from kernel_gateway.sandbox.docker_daemon import EngineName
from kernel_gateway.sandbox.users import UidRegistry
from tests.conftest import LiveSession, NewSession
from tests.sandbox.conftest import Session

from . import dockerd
from .daemon import AFTER_SETUP

ENGINES = ("docker", "gvisor")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.docker)
            item.add_marker(AFTER_SETUP)


@pytest.fixture(params=ENGINES)
def engine_name(request: pytest.FixtureRequest, base: rootfs.RootFilesystem) -> EngineName:
    return request.param


@pytest.fixture
def engine(engine_name: EngineName) -> DockerEngine:
    engine = DockerEngine(engine_name)
    engine.check()
    return engine


@pytest_asyncio.fixture
async def session(new_session: NewSession, engine_name: EngineName) -> LiveSession:
    """What the tests of the supervisor call a session, here in a container."""
    return await new_session(engine=engine_name)


class Container(Session):
    """What the tests of the sandbox call a session: folders of one, and ways to run something in its sandbox."""

    python_path = "/image/python/bin/python3"


@pytest.fixture
def make_container(engine: DockerEngine, image: Image, tmp_path: Path) -> Iterator[Callable[..., Container]]:
    registry, uids = UidRegistry(), list[int]()

    def make(name: str = "session", **values: Any) -> Container:
        uids.append(registry.allocate(tmp_path / name))
        return Container(engine, tmp_path / name, uids[-1], image=image.root, **values)

    yield make
    for uid in uids:
        registry.release(uid)


@pytest.fixture
def container(make_container: Callable[..., Container]) -> Container:
    return make_container()


def containers(socket: Path) -> list[dict[str, Any]]:
    """All that the daemon knows, whether they run or not."""
    return dockerd.ask(socket, "/containers/json?all=true")[1]


@pytest.fixture(autouse=True)
def no_container_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "docker_socket" in request.fixturenames:
        assert containers(request.getfixturevalue("docker_socket")) == []
