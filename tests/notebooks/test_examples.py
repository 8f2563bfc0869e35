"""The examples still give what they gave, and hold nothing that should not go around."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from notebooks.stories import STORIES
from tests.cli.conftest import Cli

ROOT = Path(__file__).parents[2] / "notebooks"
EXAMPLES = sorted(ROOT.glob("*/*.ipynb"))


def test_each_story_has_a_notebook_and_a_line_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert {p.stem for p in EXAMPLES} == {s.name for s in STORIES}
    assert [p.stem for p in EXAMPLES if f"({p.relative_to(ROOT)})" not in readme] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_it_verifies(cli: Cli, image: object, path: Path) -> None:
    done = cli("verify", path, "--json")
    assert done.code == 0, done.json["headline"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_it_is_valid_and_without_errors_or_paths_of_a_machine(path: Path) -> None:
    notebook: Any = nbformat.read(path, as_version=4)
    nbformat.validate(notebook, relax_add_props=False)
    kinds = {o["output_type"] for cell in notebook["cells"] for o in cell.get("outputs", ())}
    assert "error" not in kinds
    assert not re.search(r"/(?:root|home/(?!user)|work)/", json.dumps(notebook))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_its_links_lead_to_files_beside_it(path: Path) -> None:
    text = "\n".join(c["source"] for c in nbformat.read(path, as_version=4)["cells"] if c["cell_type"] == "markdown")
    links = re.findall(r"\]\((workspace/[^)]+)\)", text)
    assert [link for link in links if not (path.parent / link).is_file()] == []


def test_the_data_are_small_and_their_licence_is_named() -> None:
    readme = (ROOT / "README.md").read_text()
    data = [p for p in (ROOT / "data").iterdir() if p.suffix != ".md"]
    assert sum(p.stat().st_size for p in data) < 1_100_000
    assert [p.name for p in data if f"`data/{p.name}`" not in readme] == []
