"""What is new in each run, told from what changed."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.replay.compare.model import Cell
from kernel_gateway.replay.compare.volatile import classify

from .test_cells import cell, display, failed, stream


def verdict(recorded: Cell, first: Cell, second: Cell) -> str:
    return classify(recorded, first, second).verdict


def test_a_line_that_two_runs_print_differently_is_volatile() -> None:
    assert verdict(*(cell(stream(f"rows 10\ntook {t} s\n")) for t in ("0.1", "0.2", "0.3"))) == "volatile"


def test_a_number_beside_it_that_both_runs_agree_on_is_a_change() -> None:
    found = classify(
        cell(stream("rows 10\ntook 0.1 s\n")),
        cell(stream("rows 11\ntook 0.2 s\n")),
        cell(stream("rows 11\ntook 0.3 s\n")),
    )
    assert (found.verdict, found.reason) == ("differs", "stdout: line 1: rows 10 → rows 11")


def test_a_number_in_the_same_line_is_a_change_too() -> None:
    assert verdict(*(cell(stream(t)) for t in ("mean 0.12 of 30", "mean 0.50 of 31", "mean -0.70 of 31"))) == "differs"
    assert verdict(*(cell(stream(t)) for t in ("mean 0.12 of 30", "mean 0.50 of 30", "mean -0.70 of 30"))) == "volatile"


def test_a_line_that_is_gone_between_volatile_ones_is_a_change() -> None:
    runs = ("start\nt 1\nkept\nend\n", "start\nt 2\nx 5\nend\n", "start\nt 3\ny\nx 5\nend\n")
    assert verdict(*(cell(stream(t)) for t in runs)) == "differs"


def test_what_both_runs_agree_on_is_never_volatile() -> None:
    assert verdict(cell(stream("a 1\n")), cell(stream("a 2\n")), cell(stream("a 2\n"))) == "differs"


def test_a_random_column_does_not_hide_a_changed_one() -> None:
    def table(random: str, fixed: str) -> Cell:
        return cell(
            display(text_html=f"<table><tr><th>r</th><th>f</th></tr><tr><td>{random}</td><td>{fixed}</td></tr></table>")
        )

    assert verdict(table("1", "x"), table("2", "x"), table("3", "x")) == "volatile"
    assert (
        classify(table("1", "x"), table("2", "y"), table("3", "y")).reason == "output 1, HTML: row 1, column f: x → y"
    )


def test_an_output_that_comes_by_chance_is_volatile() -> None:
    warned, silent = cell(stream("a\n"), stream("slow\n", "stderr")), cell(stream("a\n"))
    assert verdict(silent, warned, silent) == "volatile"


def test_an_output_that_both_runs_lack_is_missing() -> None:
    assert verdict(cell(display(text_plain="1")), cell(), cell()) == "missing"


def test_an_error_of_one_run_alone_is_volatile() -> None:
    assert verdict(cell(), failed("Timeout", "x"), cell()) == "volatile"
    assert verdict(cell(), failed("Timeout", "x"), failed("Timeout", "x")) == "error"


LINES = st.lists(st.sampled_from(["a 1", "a 2", "b", "c 0.5", ""]), max_size=6).map("\n".join)


@given(LINES, LINES)
def test_runs_that_agree_are_judged_as_one(recorded: str, again: str) -> None:
    from kernel_gateway.replay.compare.cells import compare_cell

    def one(text: str) -> Cell:
        outputs: list[dict[str, Any]] = [stream(text)] if text else []
        return cell(*outputs)

    assert verdict(one(recorded), one(again), one(again)) == compare_cell(one(recorded), one(again)).verdict
