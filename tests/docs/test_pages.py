"""What the pages show is executed: each bash and Python block, in order, in a folder and with a data folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kernel_gateway.image.image import Image
from kernel_gateway.session.folder import SessionStore
from tests.conftest import stop_session

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text())


@pytest.mark.timeout(180)
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
async def test_the_commands_of_a_page_work(page: Path, tmp_path: Path, data: Path, image: Image) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    try:
        for language, source in blocks(page):
            command = (
                ["bash", "-euo", "pipefail", "-c", source] if language == "bash" else [sys.executable, "-c", source]
            )
            done = subprocess.run(
                command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
            )
            assert done.returncode == 0, f"{source}\n{done.stdout}\n{done.stderr}"
    finally:
        for session in SessionStore(data):
            await stop_session(session)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing
