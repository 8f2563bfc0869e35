"""All tests by two processes at once (``pytest -n 2``): which tests stay together, in one process and in their order.

A folder's tests share what is costly to make: a server, a browser, recorded sessions. Whatever needs the Docker daemon is one place of
its own, wherever it lies, since there is one daemon.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

import pytest

CONTAINERS = "containers"
# The longest first, so that no process is left alone with one at the end.
_FIRST = (CONTAINERS, "ordinary user", "tests/security", "tests/replay", "tests/e2e")


def place(nodeid: str) -> str:
    """The name of what a test is run together with."""
    path, _, name = nodeid.partition("::")
    if path.startswith("tests/docker/") or re.search(r"\[(docker|gvisor)\b", name):
        return CONTAINERS
    if path.endswith("/test_ordinary_user.py"):
        return "ordinary user"
    return "/".join(PurePosixPath(path).parts[:2])


def order(nodeid: str) -> int:
    return next((rank for rank, first in enumerate(_FIRST) if first == place(nodeid)), len(_FIRST))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the processes of a parallel run alone; both must get one order."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: order(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    # Only where the plugin is: a single process needs none of it.
    from xdist.scheduler import LoadScopeScheduling

    class ByPlace(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return place(nodeid)

    config.option.loadscopereorder = False
    return ByPlace(config, log)
