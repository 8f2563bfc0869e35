"""The same sessions as everywhere, in containers: each test here runs with Docker's own runtime and with gVisor's."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from kernel_gateway.image import rootfs
from kernel_gateway.image.store import Image
from kernel_gateway.sandbox.docker import DockerEngine
from kernel_gateway.sandbox.docker_base import import_base
from kernel_gateway.sandbox.docker_daemon import EngineName, find_daemon
from kernel_gateway.sandbox.users import UidRegistry
from tests.conftest import LiveSession, NewSession
from tests.sandbox.conftest import Session

from . import dockerd

ENGINES = ("docker", "gvisor")
_DAY = 86400


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.docker)


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
