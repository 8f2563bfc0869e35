"""The benchmark's table has the shape that people and programs read. No time is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.environments import PeerUnavailable
from benchmarks.measuring import Row, Sample, Way, measure
from benchmarks.table import as_text

ROOT = Path(__file__).parents[2]


async def _nothing() -> Sample:
    return Sample([2.0, 4.0], "kept")


def _row(share: float = 1.0) -> Row:
    return Row("key", "Title", "ms", "bare", [Way("ours", _nothing), Way("bare", _nothing)], share)


async def test_the_warm_up_round_is_discarded() -> None:
    row = _row()
    await measure([row], 3, lambda text: None)
    assert [len(way.values) for way in row.ways] == [6, 6]


async def test_a_row_of_half_the_rounds_is_measured_every_other_time() -> None:
    row = _row(share=0.5)
    await measure([row], 5, lambda text: None)
    assert len(row.ways[0].values) == 6


async def test_a_line_shows_count_median_p95_ratio_and_note() -> None:
    row = _row()
    await measure([row], 1, lambda text: None)
    assert "ours 2 3.00 4.00 1.00 kept".split() in [line.split() for line in as_text([row], {}).splitlines()]


@pytest.mark.timeout(240)
def test_one_round_of_the_cheapest_row_gives_a_line_for_each_way() -> None:
    command = [sys.executable, "-m", "benchmarks", "--rounds", "1", "--only", "pass", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == PeerUnavailable.exit_code:
        pytest.skip(f"the peers cannot be installed here: {done.stderr[-500:]}")
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)
    assert {entry["row"] for entry in table["rows"]} == {"pass"}
    assert all(entry["n"] > 0 and entry["median"] > 0 for entry in table["rows"])
    assert {"bare kernel, jupyter_client", "ours, control socket"} <= {entry["way"] for entry in table["rows"]}
    assert {"cell-gateway", "load average"} <= set(table["machine"])
