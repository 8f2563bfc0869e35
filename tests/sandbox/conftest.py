"""Real sandboxes. The image is the Python that runs the tests; the same tests run as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from kernel_gateway.sandbox.bubblewrap import BubblewrapEngine
from kernel_gateway.sandbox.engine import Engine, Exit, Mount, Sandbox, SandboxSpec
from kernel_gateway.sandbox.users import UidRegistry
from kernel_gateway.session.policy import Policy

MEGABYTE = 1024**2
PYTHON = f"/image/bin/python{sys.version_info.major}.{sys.version_info.minor}"
IS_ROOT = os.geteuid() == 0

needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can do this; it runs when the tests run as root")


@dataclass
class Session:
    """The folders of one session, and ways to run something in its sandbox."""

    engine: Engine
    folder: Path
    uid: int | None
    policy: Policy = field(default_factory=lambda: Policy(memory=1024 * MEGABYTE, disk=50 * MEGABYTE))
    mounts: Sequence[Mount] = ()
    environment: dict[str, str] = field(default_factory=dict)
    image: Path = Path(sys.base_prefix)
    # Where the image has its Python.
    python_path: ClassVar[str] = PYTHON

    def __post_init__(self) -> None:
        self.folder.mkdir(mode=0o711, exist_ok=True)
        for name in ("workspace", "outputs", "layer", "sockets"):
            (self.folder / name).mkdir(exist_ok=True)
            if self.uid is not None:
                os.chown(self.folder / name, self.uid, self.uid)

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def host_uid(self) -> int:
        return os.geteuid() if self.uid is None else self.uid

    def spec(self, command: Sequence[str], **changes: Any) -> SandboxSpec:
        values: dict[str, Any] = {
            "command": command,
            "environment": {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": "/image/lib", **self.environment},
            "image": self.image,
            **{name: self.folder / name for name in ("workspace", "outputs", "layer", "sockets")},
            "policy": self.policy,
            "uid": self.uid,
            "mounts": self.mounts,
        }
        return SandboxSpec(**{**values, **changes})

    async def start(self, *command: str) -> Sandbox:
        return await self.engine.start(self.spec(command))

    async def python(self, code: str) -> Sandbox:
        return await self.start(self.python_path, "-c", code)

    async def run(self, *command: str) -> tuple[Exit, str]:
        sandbox = await self.start(*command)
        return await sandbox.wait(), sandbox.log_tail()

    async def value(self, code: str) -> Any:
        """What ``code`` leaves in ``result``, by JSON; an OSError that it raises comes as the name of its errno."""
        program = (
            "import ctypes, errno, json, os, socket, sys\n"
            "libc = ctypes.CDLL(None, use_errno=True)\n"
            "def call(number, *args):\n"
            "    libc.syscall.restype = ctypes.c_long\n"
            "    found = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, args))\n"
            "    return found if found >= 0 else errno.errorcode[ctypes.get_errno()]\n"
            "try:\n" + "".join(f"    {line}\n" for line in code.strip().splitlines()) + "except OSError as error:\n"
            "    result = errno.errorcode[error.errno]\n"
            "print('\\nRESULT', json.dumps(result), flush=True)\n"
        )
        end, log = await self.run(self.python_path, "-c", program)
        assert end.status == 0, log
        return json.loads(log.rpartition("\nRESULT")[2])


@pytest.fixture(scope="session")
def engine() -> BubblewrapEngine:
    engine = BubblewrapEngine()
    engine.check()
    return engine


@pytest.fixture
def make_session(engine: BubblewrapEngine, tmp_path: Path) -> Iterator[Callable[..., Session]]:
    registry, uids = UidRegistry(), list[int]()

    def make(name: str = "session", **values: Any) -> Session:
        folder = tmp_path / name
        if not IS_ROOT:
            return Session(engine, folder, None, **values)
        uids.append(registry.allocate(folder))
        return Session(engine, folder, uids[-1], **values)

    yield make
    for uid in uids:
        registry.release(uid)


@pytest.fixture
def session(make_session: Callable[..., Session]) -> Session:
    return make_session()


def children_named(name: str) -> list[int]:
    """Our children of that name, zombies too."""
    pids = [int(p) for task in Path("/proc/self/task").iterdir() for p in (task / "children").read_text().split()]
    return [pid for pid in pids if name in _name_of(pid)]


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    assert children_named("bwrap") == []
