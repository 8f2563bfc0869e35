"""Notebooks that nobody here wrote: the error paths that papermill ships with its wheel."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from .conftest import Cli

# The first cell that is not good; broken1 and broken2 were stored without the outputs of their first cell.
CAUSES = {
    "simple_execute": None,
    "sysexit": 2,
    "sysexit1": 2,
    "keyboard_interrupt": 1,
    "complex_parameters": 1,
    "broken1": 1,
    "line_magic_error": 1,
}


@pytest.fixture(scope="session")
def notebooks() -> Path:
    # Found and not imported: only its files are wanted.
    found = importlib.util.find_spec("papermill")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "tests" / "notebooks"


@pytest.mark.parametrize("name", CAUSES)
def test_each_gets_a_verdict_with_a_first_cause(cli: Cli, notebooks: Path, name: str, image: object) -> None:
    done = cli("verify", notebooks / f"{name}.ipynb", "--json", "--timeout", "5")
    assert done.json["cause"] == CAUSES[name], done.json["headline"]
    assert done.code == (0 if CAUSES[name] is None else 1)
