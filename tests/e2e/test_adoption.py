"""Seed task: three turns over one table, on one kernel, and the front end killed in the middle of the second."""

from __future__ import annotations

from collections import Counter

import nbformat

from . import adoption
from .person import Played
from .rerun import pngs


def test_the_killed_turn_is_resumed_and_the_next_follows(charted: Played) -> None:
    assert "Going on with the turn that broke off." in charted.asked[1].out
    ends = [(r["turn"], r["stop_reason"]) for r in charted.of_kind("turn") if r["state"] == "ended"]
    assert [reason for _, reason in ends] == ["end_turn", "end_turn", "end_turn"]
    assert len({turn for turn, _ in ends}) == 3


def test_nothing_ran_twice(charted: Played) -> None:
    starts = Counter(r["run"] for r in charted.of_kind("start"))
    assert set(starts.values()) == {1}
    calls = ["toolu_read", "toolu_chart", "toolu_roll", "toolu_rolled", "toolu_curved"]
    assert [run.rpartition(":")[2] for run in starts if "toolu_" in run] == calls
    assert (charted.folder.workspace / "checked.log").read_text() == "".join(f"{n}\n" for n in range(5, 46, 5))


def test_the_cell_that_lost_its_front_end_has_all_its_output(charted: Played) -> None:
    (cell,) = (c for c in charted.cells if "".join(c["source"]) == adoption.ROLL)
    printed = "".join("".join(output["text"]) for output in cell["outputs"])
    assert printed.splitlines()[:-1] == [f"{n} of 46 surveys" for n in range(5, 46, 5)]
    assert printed.splitlines()[-1] == "40 states have a mean at 15 June 2025"


def test_the_model_gets_the_whole_result_of_that_cell(charted: Played) -> None:
    (result,) = (b for b in charted.tool_results()["toolu_roll"]["content"] if b["type"] == "text")
    assert "5 of 46 surveys\n10 of 46 surveys" in result["text"]
    assert "40 states have a mean" in result["text"]


def test_one_kernel_serves_all_three_turns(charted: Played) -> None:
    assert [r["generation"] for r in charted.of_kind("kernel")] == [1]
    assert charted.of_kind("death") == []


def test_variables_are_alive_from_turn_to_turn(charted: Played) -> None:
    exits = {r["run"].rpartition(":")[2]: r["exit"] for r in charted.of_kind("end") if "toolu_" in r["run"]}
    assert set(exits.values()) == {"ok"}


def test_each_turn_shows_its_picture(charted: Played) -> None:
    assert len(set(pngs(charted.notebook))) == 3
    assert len(list(charted.folder.pictures.iterdir())) == 3
    for call in ("toolu_chart", "toolu_rolled", "toolu_curved"):
        assert "image" in [b["type"] for b in charted.tool_results()[call]["content"]]


def test_the_notebook_validates_and_holds_every_prompt_word_and_cell(charted: Played) -> None:
    nbformat.validate(nbformat.read(charted.folder.notebook, as_version=4), relax_add_props=False)
    written = "\n".join(charted.sources)
    said = [b["text"] for reply in adoption.REPLIES for b in reply if b["type"] == "text"]
    assert [words for words in (*adoption.PROMPTS, *said) if words not in written] == []
    sources = (adoption.READ, adoption.CHART, adoption.ROLL, adoption.ROLLED, adoption.CURVED)
    assert [source for source in charted.sources if source in sources] == list(sources)


def test_the_chart_is_of_the_question_about_ai(charted: Played) -> None:
    (cell,) = (c for c in charted.cells if "".join(c["source"]) == adoption.READ)
    assert "use Artificial Intelligence (AI) in producing goods or services?" in str(cell["outputs"])
    assert "(46, 53)" in str(cell["outputs"])
