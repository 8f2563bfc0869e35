"""A quick part of the conformance suite of ``python -m benchmarks.comparer``."""

from __future__ import annotations

import pytest

from benchmarks.comparer import as_json, as_text, measure
from benchmarks.planted import NOTEBOOKS
from kernel_gateway.image.store import Image


def test_each_change_of_the_suite_has_its_place() -> None:
    for notebook in NOTEBOOKS:
        for plant in notebook.plants:
            assert notebook.planted(plant) != notebook.cells
    assert len(NOTEBOOKS) >= 12
    assert sum(len(n.plants) for n in NOTEBOOKS) >= 60


@pytest.mark.parametrize("name", ["errors", "data files"])
async def test_planted_changes_are_found_and_untouched_runs_are_the_same(name: str, image: Image) -> None:
    score = await measure([n for n in NOTEBOOKS if n.name == name], 1, lambda _: None, image.root)
    assert (score.misses, score.alarms) == ([], [])
    assert "100.0%" in as_text(score, every=True)
    assert '"misses": []' in as_json(score)
