"""The examples of docs/rest.md run as they stand, and its table names every route."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kernel_gateway.server.rest.routes import ROUTES
from tests.server.rest.conftest import TOKEN, Server

PAGE = (Path(__file__).parents[3] / "docs" / "rest.md").read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="There is no curl: apt-get install curl")
def test_the_examples_run(server: Server, tmp_path: Path) -> None:
    script = "set -euo pipefail\n" + "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
    environment = {**os.environ, "URL": server.url, "TOKEN": TOKEN, "NO_PROXY": "*"}
    done = subprocess.run(
        ["bash", "-c", script], check=False, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "hour,level" in done.stdout
    assert (tmp_path / "tides.ipynb").stat().st_size > 500


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: r.path)
def test_each_route_and_method_is_in_the_table(route: object) -> None:
    path, operations = (getattr(route, name) for name in ("path", "operations"))
    line = next((line for line in PAGE.splitlines() if line.startswith("|") and f"`{path}`" in line), "")
    assert all(method.upper() in line for method in operations), path
