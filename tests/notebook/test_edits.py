"""A person's edits: what they make of a notebook, and that the difference of two notebooks is what a person did."""

from __future__ import annotations

import copy
import json
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_gateway.journal import Record
from kernel_gateway.notebook.build import Fold, fold
from kernel_gateway.notebook.edits import changes
from kernel_gateway.notebook.visible import attachments_of, source_of, visible_metadata

from .journals import PNG, Script, display, stdout
from .test_build import ANY_TEXT, FIELDS, JSON, NAMES, assert_every_beginning_is_valid, assert_valid, nearly

Cell = dict[str, Any]


def cells(script: Script) -> list[Cell]:
    return fold(script.records)["cells"]


def ids(script: Script) -> list[str]:
    return [cell["id"] for cell in cells(script)]


def ours(cell: Cell) -> dict[str, Any]:
    return cell["metadata"]["kernel_gateway"]


def edit(script: Script, *made: dict[str, Any]) -> None:
    script.add("edit", by="ada", changes=list(made))


def inserted(cell: str, after: str | None, source: str = "", cell_type: str = "code", **more: Any) -> dict[str, Any]:
    return {"op": "insert", "cell": cell, "after": after, "cell_type": cell_type, "source": source, **more}


@pytest.fixture
def script() -> Script:
    """``a`` printed, ``b`` failed, ``c`` timed out with a picture."""
    found = Script()
    found.add("prompt", cell="p", turn="t1", text="Look at this")
    found.run("print(1)", stdout("1\n"), cell="a")
    found.run("1/0", cell="b", exit="error")
    found.run("loop()", display({"image/png": PNG}), cell="c", exit="timeout")
    return found


# What a reader sees


def test_a_cell_that_never_ran_stands_where_it_was_written(script: Script) -> None:
    edit(script, inserted("new", "p", "x = 1"), inserted("title", None, "# Mine", "markdown"))
    first, _, second = cells(script)[:3]
    assert (second["id"], second["source"], second["outputs"], second["execution_count"]) == ("new", "x = 1", [], None)
    assert ours(second) == {"author": "person", "exit": "unrun"}
    assert (first["id"], ours(first)) == ("title", {"kind": "person", "author": "person"})


def test_its_run_is_shown_at_its_place_under_its_id(script: Script) -> None:
    edit(script, inserted("new", "p", "x = 1", metadata={"tags": ["mine"]}))
    script.run("x = 2", stdout("ran\n"), cell="new")
    assert ids(script) == ["p", "new", "a", "b", "c", "c-pictures"]
    cell = cells(script)[1]
    assert (cell["source"], cell["outputs"], ours(cell)["exit"]) == ("x = 2", [stdout("ran\n")], "ok")
    assert cell["metadata"]["tags"] == ["mine"]


def test_a_prompt_with_the_id_of_an_inserted_cell_takes_its_place(script: Script) -> None:
    edit(script, inserted("ask", "a", "%%ask\nwhy?"))
    script.add("prompt", cell="ask", turn="t2", text="why?")
    assert ids(script) == ["p", "a", "ask", "b", "c", "c-pictures"]
    assert ours(cells(script)[2])["kind"] == "prompt"


def test_what_the_model_does_next_comes_after_what_was_inserted_at_the_end(script: Script) -> None:
    edit(script, inserted("mine", "c-pictures"))
    script.run("y", cell="d")
    assert ids(script)[-2:] == ["mine", "d"]


def test_a_note_that_comes_later_stays_beside_its_cell(script: Script) -> None:
    script.add("start", run="r", cell="d", source="print(big)", author="model")
    edit(script, inserted("mine", "d"))
    script.add("end", run="r", exit="ok", notice="It was cut.")
    assert ids(script)[-3:] == ["d", "d-note", "mine"]


def test_an_edited_source_is_shown_with_the_old_outputs_until_the_cell_runs_again(script: Script) -> None:
    edit(script, {"op": "change", "cell": "a", "source": "print(2)"})
    cell = cells(script)[1]
    assert (cell["source"], cell["outputs"], ours(cell)["edited"]) == ("print(2)", [stdout("1\n")], True)
    script.run("print(3)", stdout("3\n"), cell="a")
    cell = cells(script)[1]
    assert (cell["source"], cell["outputs"]) == ("print(3)", [stdout("3\n")])
    assert "edited" not in ours(cell)


def test_a_source_that_is_as_it_ran_again_is_not_edited(script: Script) -> None:
    edit(script, {"op": "change", "cell": "a", "source": "print(2)"})
    edit(script, {"op": "change", "cell": "a", "source": "print(1)"})
    assert "edited" not in ours(cells(script)[1])


def test_words_and_prompts_may_be_edited(script: Script) -> None:
    edit(script, {"op": "change", "cell": "p", "source": "> better"})
    cell = cells(script)[0]
    assert (cell["source"], ours(cell)["kind"], ours(cell)["edited"]) == ("> better", "prompt", True)


def test_a_deleted_cell_is_shown_again_where_it_was_when_it_runs_again(script: Script) -> None:
    edit(script, {"op": "delete", "cell": "a"})
    assert ids(script) == ["p", "b", "c", "c-pictures"]
    script.add("notice", text="Something")
    assert "a" not in ids(script)
    script.run("print(1)", cell="a")
    assert ids(script)[:3] == ["p", "a", "b"]


def test_a_deletion_that_is_undone_brings_the_outputs_back(script: Script) -> None:
    before = cells(script)
    edit(script, {"op": "delete", "cell": "a"})
    edit(script, inserted("a", "p", "print(1)"))
    assert cells(script) == before


def test_a_timed_out_cell_that_is_made_code_waits_to_be_run(script: Script) -> None:
    edit(script, {"op": "change", "cell": "c", "cell_type": "code", "source": "loop(3)"})
    cell = next(c for c in cells(script) if c["id"] == "c")
    assert (cell["cell_type"], cell["source"], cell["outputs"], ours(cell)["exit"]) == ("code", "loop(3)", [], "unrun")
    assert "raw_mimetype" not in cell["metadata"]


def test_a_code_cell_that_is_made_text_and_code_again_has_lost_its_outputs(script: Script) -> None:
    edit(script, {"op": "change", "cell": "a", "cell_type": "markdown", "source": "*text*"})
    assert ours(cells(script)[1]) == {"kind": "person", "author": "person"}
    edit(script, {"op": "change", "cell": "a", "cell_type": "code"})
    assert (cells(script)[1]["outputs"], ours(cells(script)[1])["exit"]) == ([], "unrun")


def test_a_text_typed_into_a_running_cell_is_there_when_that_is_stopped(script: Script) -> None:
    script.add("start", run="r", cell="d", source="loop()", author="model")
    edit(script, {"op": "change", "cell": "d", "source": "loop(3)"})
    script.add("end", run="r", exit="interrupted")
    cell = cells(script)[-1]
    assert (cell["cell_type"], cell["source"], ours(cell)["exit"]) == ("code", "loop(3)", "unrun")


def test_metadata_of_an_edit_replaces_the_persons_part_and_never_ours(script: Script) -> None:
    facts = ours(cells(script)[1])
    forged = {"kernel_gateway": {"author": "person"}, "execution": {"x": "y"}, "trusted": True}
    edit(script, {"op": "change", "cell": "a", "metadata": {"tags": ["t"], "collapsed": True, **forged}})
    metadata = cells(script)[1]["metadata"]
    assert (metadata["tags"], metadata["collapsed"], metadata["kernel_gateway"]) == (["t"], True, facts)
    assert "x" not in metadata["execution"] and "trusted" not in metadata
    edit(script, {"op": "change", "cell": "a", "metadata": {}})
    assert set(cells(script)[1]["metadata"]) == {"execution", "kernel_gateway"}


def test_a_tag_that_speaks_of_a_run_goes_with_the_next_one(script: Script) -> None:
    edit(script, {"op": "change", "cell": "b", "metadata": {"tags": ["raises-exception", "mine"]}})
    script.run("1/1", cell="b")
    assert cells(script)[2]["metadata"]["tags"] == ["mine"]
    script.run("1/0", cell="b", exit="error")
    assert cells(script)[2]["metadata"]["tags"] == ["mine", "raises-exception"]


def test_a_raw_cell_of_a_person_has_a_type_that_nbconvert_does_not_copy_into_html(script: Script) -> None:
    edit(
        script,
        inserted("x", None, "<b>", "raw"),
        inserted("y", None, "", "raw", metadata={"raw_mimetype": "text/latex"}),
    )
    y, x = cells(script)[:2]
    assert (x["metadata"]["raw_mimetype"], y["metadata"]["raw_mimetype"]) == ("text/plain", "text/latex")


def test_cleared_outputs_stay_away_until_the_cell_gives_more(script: Script) -> None:
    edit(script, {"op": "clear", "cell": "a"})
    cell = cells(script)[1]
    assert (cell["outputs"], cell["execution_count"], ours(cell)["cleared"]) == ([], None, True)
    script.run("print(1)", stdout("1\n"), cell="a")
    assert (cells(script)[1]["outputs"], "cleared" in ours(cells(script)[1])) == ([stdout("1\n")], False)


def test_a_running_cell_that_is_cleared_shows_what_comes_after(script: Script) -> None:
    script.add("start", run="r", cell="d", source="tick()", author="model")
    script.add("output", run="r", outputs=[stdout("1\n")])
    edit(script, {"op": "clear", "cell": "d"})
    script.add("output", run="r", outputs=[stdout("2\n")])
    script.add("end", run="r", exit="ok", execution_count=7)
    assert (cells(script)[-1]["outputs"], cells(script)[-1]["execution_count"]) == ([stdout("2\n")], 7)


def test_a_new_cell_gets_another_id_where_its_own_is_taken_unseen(script: Script) -> None:
    edit(script, inserted("a-note", "a", "mine"), {"op": "change", "cell": "a-note", "source": "mine too"})
    assert [c["source"] for c in cells(script) if c["id"].startswith("a-note")] == ["mine too"]
    script.run("print(1)", cell="a", notice="A note.")
    assert {"a-note", "a-note-2"} <= set(ids(script))


def test_an_edit_that_is_recorded_twice_counts_once(script: Script) -> None:
    made = [inserted("new", "a", "x"), {"op": "move", "cell": "b", "after": None}, {"op": "delete", "cell": "c"}]
    edit(script, *made)
    before = cells(script)
    edit(script, *made)
    assert cells(script) == before


def test_without_edits_the_notebook_is_what_ran(script: Script) -> None:
    before = cells(script)
    made = [{"op": "delete", "cell": "a"}, {"op": "clear", "cell": "b"}, inserted("new", None)]
    edit(script, *made)
    assert fold(script.records, edits=False)["cells"] == before


# What a person did


def test_a_moved_cell_is_one_change(script: Script) -> None:
    before = cells(script)
    assert changes(before, [*before[1:], before[0]]) == [{"op": "move", "cell": "p", "after": "c-pictures"}]
    assert changes(before, [before[-1], *before[:-1]]) == [{"op": "move", "cell": "c-pictures", "after": None}]


def test_nothing_was_done_where_only_facts_and_outputs_differ(script: Script) -> None:
    before, after = cells(script), copy.deepcopy(cells(script))
    after[1]["outputs"] = [stdout("other")]
    after[1]["execution_count"] = 99
    after[1]["metadata"]["trusted"] = True
    after[1]["metadata"]["kernel_gateway"]["author"] = "person"
    assert changes(before, after) == []


SOURCES = st.sampled_from(["", "x", "y\nz", "# é", "%%bash\nls"])
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "tags": st.lists(st.sampled_from(["a", "b", "raises-exception", "parameters"]), unique=True),
        "collapsed": st.booleans(),
        "slideshow": st.just({"slide_type": "slide"}),
        "jupyter": st.just({"source_hidden": True}),
        "mine": st.integers(),
    },
)
ATTACHMENTS = st.just({}) | st.just({"p.png": {"image/png": PNG}})


@st.composite
def edited(draw: st.DrawFn, before: list[Cell], round_: int) -> list[Cell]:
    """What a person may leave of a notebook: some gone, some new, some changed, in another order."""
    kept = [copy.deepcopy(cell) for cell in before if draw(st.integers(0, 5))]
    for n in range(draw(st.integers(0, 3))):
        kept.append({"cell_type": "code", "id": f"new-{round_}-{n}", "metadata": {}, "source": "", "outputs": []})
    after = draw(st.permutations(kept)) if draw(st.booleans()) else kept
    for cell in after:
        if draw(st.booleans()):
            continue
        cell["source"] = draw(SOURCES)
        cell["metadata"] = {**draw(METADATA), **{k: v for k, v in cell["metadata"].items() if k == "kernel_gateway"}}
        if (cell_type := draw(st.sampled_from(["code", "markdown", "raw"]))) != cell["cell_type"]:
            cell["cell_type"], cell["outputs"] = cell_type, []
        if draw(st.booleans()):
            cell["outputs"] = []
        if cell_type != "code" and (attachments := draw(ATTACHMENTS)):
            cell["attachments"] = attachments
        else:
            cell.pop("attachments", None)
    return list(after)


def editable(notebook: list[Cell]) -> list[dict[str, Any]]:
    return [
        {
            "id": c["id"],
            "type": c["cell_type"],
            "source": source_of(c["source"]),
            "metadata": visible_metadata(c["metadata"], c["cell_type"]),
            "attachments": attachments_of(c.get("attachments"), c["cell_type"]),
            "cleared": not c.get("outputs"),
        }
        for c in notebook
    ]


def base() -> Script:
    script = Script()
    script.add("prompt", cell="p", text="Look")
    script.run("print(1)", stdout("1\n"), cell="a")
    script.run("1/0", stdout("2\n"), cell="b", exit="error")
    script.run("loop()", display({"image/png": PNG}), cell="c", exit="timeout")
    script.add("words", cell="w", text="So it is.")
    script.run("print(big)", stdout("3\n"), cell="d", notice="It was cut.")
    return script


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_changes_recorded_give_what_the_person_left(data: st.DataObject) -> None:
    script = base()
    growing = Fold()
    for record in script.records:
        growing.add(record)
    for round_ in range(2):
        before = growing.notebook()["cells"]
        after = data.draw(edited(before, round_))
        record = script.add("edit", by="ada", changes=json.loads(json.dumps(changes(before, after))))
        growing.add(record)
        assert editable(growing.notebook()["cells"]) == editable(after)
        assert changes(after, growing.notebook()["cells"]) == []
    assert fold(script.records) == growing.notebook()
    assert_valid(growing.notebook())


# Any edit, in any journal

SOME = nearly(st.sampled_from(["a", "b", "a-note", "a-pictures", "p", "new", "new-2", "not valid!", "é" * 70]))
CHANGE = st.fixed_dictionaries(
    {"op": nearly(st.sampled_from(["insert", "insert", "delete", "move", "change", "change", "clear"])), "cell": SOME},
    optional={
        "after": SOME | st.none(),
        "cell_type": nearly(st.sampled_from(["code", "markdown", "raw"])),
        "source": nearly(ANY_TEXT),
        "metadata": nearly(
            st.fixed_dictionaries(
                {},
                optional={
                    "tags": nearly(st.lists(ANY_TEXT | st.just("a,b"), max_size=3)),
                    "collapsed": JSON,
                    "scrolled": JSON,
                    "jupyter": JSON,
                    "name": nearly(ANY_TEXT),
                    "format": JSON,
                    "raw_mimetype": JSON,
                    "kernel_gateway": JSON,
                    "execution": JSON,
                },
            )
        ),
        "attachments": nearly(
            st.dictionaries(ANY_TEXT, nearly(st.dictionaries(ANY_TEXT, JSON, max_size=2)), max_size=2)
        ),
    },
)
EDIT = {"by": JSON, "changes": nearly(st.lists(nearly(CHANGE), max_size=5))}
STARTS = FIELDS["start"] | {"cell": SOME, "run": NAMES}
KINDS = {"edit": EDIT, "start": STARTS, **{k: FIELDS[k] for k in ("prompt", "words", "output", "end")}}


@st.composite
def journals(draw: st.DrawFn) -> list[Record]:
    records: list[Record] = []
    for seq in range(draw(st.integers(0, 14))):
        kind = draw(st.sampled_from(["edit", "edit", "start", *KINDS]))
        fields = draw(st.fixed_dictionaries({}, optional=KINDS[kind]) | st.fixed_dictionaries(KINDS[kind]))
        records.append({"seq": seq, "kind": kind, **fields})
    return records


@settings(max_examples=40, deadline=None)
@given(journals())
def test_every_beginning_of_every_journal_with_edits_is_a_valid_notebook(records: list[Record]) -> None:
    assert_every_beginning_is_valid(records)


def test_a_record_of_very_many_changes_takes_no_time_that_grows_with_their_square() -> None:
    names = [f"n{n}" for n in range(5_000)]
    made = [inserted(name, None) for name in names]
    made += [{"op": "move", "cell": name, "after": names[-1]} for name in names]
    records = [{"seq": 0, "kind": "edit", "changes": made}]
    notebook = fold(records)
    assert len(notebook["cells"]) == len(names)
    nbformat.validate({**notebook, "cells": notebook["cells"][:100]})
