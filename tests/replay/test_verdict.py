"""The verdict on a notebook: the first cause first, and what follows from it."""

from __future__ import annotations

import json

import pytest

from kernel_gateway.replay.compare.files import HASH_ONLY
from kernel_gateway.replay.compare.model import CellVerdict, Part, Verdict
from kernel_gateway.replay.verdict import read_source, summarise


def cell(verdict: Verdict, source: str = "", raised: str = "", made: tuple[str, ...] = ()) -> CellVerdict:
    part = Part("how it ended" if raised else "stdout", "end", verdict, raised or "line 1: 1 → 2")
    return CellVerdict(verdict, (part,), source, raised, made)


def test_all_the_same_is_exit_0() -> None:
    verdict = summarise([cell("same"), cell("same")])
    assert (verdict.exit_code, verdict.cause, verdict.headline) == (0, None, "All 2 cells gave the same.")


def test_close_and_volatile_are_good_and_said() -> None:
    verdict = summarise([cell("same"), cell("close"), cell("volatile")])
    assert (verdict.exit_code, verdict.headline) == (0, "Nothing changed: of 3 cells 1 same, 1 close, 1 volatile.")


@pytest.mark.parametrize("found", ["missing", "differs", "error"])
def test_anything_else_is_exit_1(found: Verdict) -> None:
    assert summarise([cell("same"), cell(found)]).exit_code == 1


def test_what_could_not_be_run_is_exit_2() -> None:
    verdict = summarise([], cannot_run="no image of that digest")
    assert (verdict.exit_code, verdict.headline) == (2, "It could not be run: no image of that digest")


def test_later_errors_of_names_that_a_failed_cell_defines_follow_from_it() -> None:
    verdict = summarise(
        [
            cell("same", "import pandas as pd"),
            cell("error", "frame = pd.read_csv('prices.csv')", "FileNotFoundError: no file 'prices.csv'"),
            cell("error", "means = frame.mean()", "NameError: name 'frame' is not defined"),
            cell("error", "means.plot()", "NameError: name 'means' is not defined"),
            cell("error", "1 / 0", "ZeroDivisionError: division by zero"),
        ]
    )
    assert verdict.cause == 2
    assert {n: f.words() for n, f in verdict.follows.items()} == {3: "follows from cell 2", 4: "follows from cell 2"}
    assert verdict.headline.endswith("2 later cells follow from it, 1 later cell fails besides.")


def test_a_file_that_a_failed_cell_made_is_a_cause() -> None:
    verdict = summarise(
        [
            cell("error", "save()", "ValueError: x", made=("out/report.csv",)),
            cell(
                "error",
                "open('out/report.csv')",
                "FileNotFoundError: [Errno 2] No such file or directory: 'out/report.csv'",
            ),
        ]
    )
    assert verdict.follows[2].words() == "follows from cell 1"


def test_a_different_result_of_changed_values_may_follow() -> None:
    verdict = summarise([cell("differs", "x = load()"), cell("differs", "print(x.sum())"), cell("differs", "print(1)")])
    assert {n: f.words() for n, f in verdict.follows.items()} == {2: "may follow from cell 1"}


def test_an_error_of_a_name_that_nobody_defined_is_a_cause_of_its_own() -> None:
    verdict = summarise(
        [cell("error", "a = 1", "ValueError: x"), cell("error", "b + a", "NameError: name 'b' is not defined")]
    )
    assert verdict.follows == {}


def test_cells_that_were_not_run_follow_from_the_one_that_stopped_it() -> None:
    part = Part("how it ended", "end", "missing", "it was not run")
    verdict = summarise([cell("error", "f()", "ValueError: x"), CellVerdict("missing", (part,), "g()")])
    assert verdict.follows[2].words() == "follows from cell 1"


def test_cells_may_have_numbers_of_their_own() -> None:
    verdict = summarise([cell("same"), cell("differs")], [3, 9])
    assert (verdict.cause, verdict.cell(9).verdict) == (9, "differs")


def test_the_verdict_is_json() -> None:
    value = json.loads(json.dumps(summarise([cell("differs", "x = 1")]).to_json()))
    assert (value["verdict"], value["exit_code"], value["cells"][0]["reason"]) == (
        "changed",
        1,
        "stdout: line 1: 1 → 2",
    )


@pytest.mark.parametrize(
    ("source", "writes"),
    [
        ("%matplotlib inline\nx = 1\n!ls\ny = 2", {"x", "y"}),
        ("frame['a'] = 1\nobj.b.c = 2", {"frame", "obj"}),
        (
            "def f(): pass\nclass C: pass\nimport a.b as c, d.e\nwith open('x') as h: pass\nfor i, j in z: pass",
            {"f", "C", "c", "d", "h", "i", "j"},
        ),
        ("%%time\nx = 1", {"x"}),
        ("%%bash\nx=1", set()),
        ("not python at all", set()),
    ],
)
def test_what_a_source_binds(source: str, writes: set[str]) -> None:
    assert read_source(source).writes == writes


def test_what_was_not_run_follows_from_the_cell_that_stopped_the_run() -> None:
    not_run = CellVerdict("missing", (Part("the cell", "end", "missing", "it was not run"),))
    verdict = summarise([cell("differs", "x = 1"), cell("error", "1 / 0", "ZeroDivisionError: x"), not_run, not_run])
    assert verdict.cause == 1
    assert {n: f.words() for n, f in verdict.follows.items()} == {3: "follows from cell 2", 4: "follows from cell 2"}
    assert verdict.headline.endswith("2 later cells follow from cell 2, 1 later cell fails besides.")


def test_a_file_that_was_overwritten_is_judged_by_what_the_last_cell_left() -> None:
    first = CellVerdict("error", (Part("r.xlsx", "file", "error", HASH_ONLY, path="r.xlsx"),))
    last = CellVerdict("same", (Part("r.xlsx", "xlsx", "same", path="r.xlsx"),))
    assert summarise([first, last]).exit_code == 0
    assert summarise([first]).exit_code == 1
    assert "overwritten by cell 2" in summarise([first, last]).cells[0].reason
