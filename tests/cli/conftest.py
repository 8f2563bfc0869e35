from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernel_gateway.session.folder import SessionStore
from tests.command import COMMAND, Finished
from tests.conftest import stop_session

Cli = Callable[..., Finished]


@pytest.fixture
def cli(data: Path, tmp_path: Path) -> Iterator[Cli]:
    """The real command in a process of its own, on an empty data folder; what it leaves running is stopped."""
    work = tmp_path / "work"
    work.mkdir()

    def call(*arguments: str | Path, stdin: str = "", **environment: str) -> Finished:
        env = {k: v for k, v in os.environ.items() if not k.startswith("ANTHROPIC_")} | environment
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            check=False,
            input=stdin,
            capture_output=True,
            text=True,
            env=env,
            cwd=work,
            timeout=200,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    yield call
    for folder in SessionStore(data):
        asyncio.run(stop_session(folder))
