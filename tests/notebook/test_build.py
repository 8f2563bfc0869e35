"""The fold: from any journal, and any beginning of one, a valid notebook; from a real one, what a reader expects."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat.json_compat import get_current_validator

from kernel_gateway.journal import BlobStore, externalize
from kernel_gateway.notebook.build import Fold, fold

from .journals import PNG, Script, display, stdout

Record = dict[str, Any]

# Any record in any order, with any value


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(
        [-1, 0, 5, 10**30, -(10**30), float("nan"), float("inf"), 1e308, "x", "", "\ud800", "a" * 300, "a\n", [], {}]
    ),
    ANY_TEXT,
)
JSON = st.recursive(ODD, lambda v: st.lists(v, max_size=3) | st.dictionaries(ANY_TEXT, v, max_size=3), max_leaves=6)


def nearly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what the supervisor writes, sometimes anything."""
    return st.one_of(usual, usual, usual, usual, JSON)


NAMES = nearly(st.sampled_from(["a", "b", "c", "a-above", "a-pictures", "not valid!", "é" * 70, "z" * 64]))
MIMES = st.sampled_from(
    [
        "text/plain",
        "text/html",
        "image/png",
        "image/svg+xml",
        "application/json",
        "application/x+json",
        "application/json\n",
        "application/\n+json",
    ]
)
DATA = nearly(st.dictionaries(MIMES | ANY_TEXT, nearly(st.just(PNG) | st.lists(ANY_TEXT, max_size=3)), max_size=3))
TRANSIENT = nearly(st.fixed_dictionaries({"display_id": nearly(st.sampled_from(["d1", "d2"]))}))
OUTPUT = st.fixed_dictionaries(
    {
        "output_type": nearly(
            st.sampled_from(
                ["stream", "display_data", "execute_result", "error", "clear_output", "update_display_data"]
            )
        )
    },
    optional={
        "name": nearly(st.sampled_from(["stdout", "stderr"])),
        "text": nearly(ANY_TEXT),
        "wait": JSON,
        "data": DATA,
        "metadata": JSON,
        "transient": TRANSIENT,
        "execution_count": JSON,
        "ename": JSON,
        "evalue": JSON,
        "traceback": nearly(st.lists(nearly(ANY_TEXT), max_size=2)),
    },
)
FILE = nearly(
    st.fixed_dictionaries(
        {},
        optional={
            "path": nearly(ANY_TEXT),
            "name": JSON,
            "sha256": nearly(st.just("c" * 64)),
            "bytes": JSON,
            "mime": nearly(MIMES),
        },
    )
)
EXITS = nearly(st.sampled_from(["ok", "error", "timeout", "interrupted", "died", "aborted"]))
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "session": {
        "session": JSON,
        "created": JSON,
        "image": JSON,
        "isolation": JSON,
        "environment": nearly(st.just({"python": "3.11"})),
    },
    "kernel": {"generation": JSON, "engine": JSON, "environment": JSON, "isolation": JSON},
    "prompt": {
        "cell": NAMES,
        "turn": JSON,
        "text": nearly(ANY_TEXT),
        "attachments": nearly(st.lists(FILE, max_size=2)),
    },
    "words": {
        "cell": NAMES,
        "turn": JSON,
        "text": nearly(ANY_TEXT),
        "model": JSON,
        "files": nearly(st.lists(FILE, max_size=2)),
    },
    "message": {"role": nearly(st.just("assistant")), "model": JSON, "content": JSON},
    "turn": {
        "turn": NAMES,
        "state": nearly(st.just("ended")),
        "usage": nearly(st.just({"input_tokens": 3})),
        "cost": JSON,
    },
    "input": {"path": nearly(ANY_TEXT), "sha256": JSON, "bytes": JSON, "origin": JSON},
    "start": {
        "run": NAMES,
        "cell": NAMES,
        "source": nearly(ANY_TEXT),
        "tags": nearly(st.lists(nearly(ANY_TEXT | st.just("kernel-gateway-setup")), max_size=3)),
        "hidden": nearly(st.booleans()),
        "tool": JSON,
        "author": JSON,
        "time": JSON,
    },
    "output": {"run": NAMES, "outputs": nearly(st.lists(OUTPUT, max_size=4))},
    "end": {
        "run": NAMES,
        "exit": EXITS,
        "execution_count": JSON,
        "duration": JSON,
        "kept": JSON,
        "total": JSON,
        "whole": JSON,
        "notice": JSON,
    },
    "files": {"run": NAMES, "files": nearly(st.lists(FILE, max_size=2))},
    "death": {"run": NAMES, "cause": JSON, "detail": JSON, "names": JSON},
    "interrupt": {"run": NAMES, "by": JSON},
    "notice": {"text": JSON},
    "a later kind": {"cell": NAMES, "text": JSON},
}


@st.composite
def journals(draw: st.DrawFn) -> list[Record]:
    records: list[Record] = []
    for seq in range(draw(st.integers(0, 14))):
        kind = draw(st.sampled_from([*FIELDS, "start", "output", "output", "end"]))
        fields = draw(st.fixed_dictionaries({}, optional=FIELDS[kind]) | st.fixed_dictionaries(FIELDS[kind]))
        records.append({"seq": seq, "kind": kind, **fields})
    return records


def assert_valid(notebook: dict[str, Any]) -> None:
    text = json.dumps(notebook, allow_nan=False, ensure_ascii=False)
    text.encode()
    nbformat.validate(json.loads(text))
    ids = [c["id"] for c in notebook["cells"]]
    assert len(set(ids)) == len(ids)


def assert_every_beginning_is_valid(records: list[Record]) -> None:
    growing = Fold()
    for end, record in enumerate(records, 1):
        growing.add(record)
        notebook = growing.notebook()
        assert_valid(notebook)
        assert json.dumps(fold(records[:end])) == json.dumps(notebook), "one at a time or all at once: the same"


@settings(max_examples=150, deadline=None)
@given(journals())
def test_every_beginning_of_every_journal_is_a_valid_notebook(records: list[Record]) -> None:
    assert_every_beginning_is_valid(records)


def test_both_of_nbformats_validators_agree_on_odd_mime_types(script: Script) -> None:
    script.run("x", display({"application/json\n": {"a": 1}, "application/\n+json": [1], " text/plain": "t", "": None}))
    notebook = fold(script.records)
    assert get_current_validator().name == "fastjsonschema"
    nbformat.validate(notebook)
    from nbformat.json_compat import JsonSchemaValidator
    from nbformat.validator import _get_schema_json, import_item

    schema = _get_schema_json(import_item("nbformat.v4"), version=4, version_minor=5)
    assert not list(JsonSchemaValidator(schema).iter_errors(notebook))


def test_a_journal_that_changes_nothing_else_keeps_the_ids_of_the_cells_before(small_session: Script) -> None:
    before: list[str] = []
    for end in range(len(small_session.records) + 1):
        ids = [c["id"] for c in fold(small_session.records[:end])["cells"]]
        assert [i for i in ids if i in before] == before
        before = ids


# What a reader sees


def cells(records: Iterable[Record], kind: str | None = None) -> list[dict[str, Any]]:
    found = fold(records)["cells"]
    return [c for c in found if kind is None or c["cell_type"] == kind]


def test_cells_stand_in_the_order_they_first_appeared(small_session: Script) -> None:
    kinds = [c["metadata"]["kernel_gateway"].get("kind", c["cell_type"]) for c in cells(small_session.records)]
    assert kinds == ["prompt", "setup", "code", "words", "code", "code", "code", "raw", "pictures", "words"]


def test_a_prompt_is_a_quotation_of_what_was_typed(script: Script) -> None:
    script.add("prompt", cell="p", text="First line\nsecond, $5 and $6, a<b\n\n`a<b $x`\n```\nx<1\n```")
    (cell,) = cells(script.records)
    assert cell["source"].split("\n") == [
        "> **You**",
        ">",
        "> First line  ",
        "> second, \\$5 and \\$6, a&lt;b",
        ">",
        "> `a<b $x`",
        "> ```",
        "> x<1",
        "> ```",
    ]


def test_a_small_attached_picture_is_in_the_notebook_and_other_files_are_linked(script: Script, tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    digest = blobs.put(base64.b64decode(PNG))
    attachments = [
        {"name": "a.png", "path": "a.png", "sha256": digest, "bytes": 70, "mime": "image/png"},
        {"name": "my data.csv", "path": "my data.csv", "sha256": "0" * 64, "bytes": 2048, "mime": "text/csv"},
    ]
    script.add("prompt", cell="p", text="Look", attachments=attachments)
    (cell,) = fold(script.records, blobs)["cells"]
    name = f"{digest[:16]}.png"
    assert cell["attachments"] == {name: {"image/png": PNG}}
    assert f"![a.png](attachment:{name})" in cell["source"].replace("\\", "")
    assert "(workspace/my%20data.csv) · 2.0 KB" in cell["source"]


def test_a_cell_run_twice_shows_the_last_run_at_its_first_place(script: Script) -> None:
    script.run("old", stdout("old\n"), cell="c")
    script.run("between", cell="d")
    script.run("new", stdout("new\n"), cell="c")
    first, second = cells(script.records)
    assert (first["id"], first["source"], first["outputs"][0]["text"]) == ("c", "new", "new\n")
    assert first["metadata"]["kernel_gateway"]["earlier_runs"] == 1
    assert second["id"] == "d"


def test_a_running_cell_shows_what_it_printed_so_far(script: Script) -> None:
    script.add("start", run="r", cell="c", source="slow()")
    script.add("output", run="r", outputs=[stdout("1\n")])
    script.add("output", run="r", outputs=[stdout("2\n")])
    (cell,) = cells(script.records)
    assert cell["cell_type"] == "code"
    assert cell["outputs"] == [stdout("1\n2\n")]
    assert cell["metadata"]["kernel_gateway"]["exit"] == "running"


def test_late_output_belongs_to_the_cell_that_started_it(script: Script) -> None:
    first = script.run("thread.start()", stdout("now\n"))
    script.run("x = 1")
    script.add("output", run=first, outputs=[stdout("later\n")])
    assert cells(script.records)[0]["outputs"] == [stdout("now\nlater\n")]


def test_an_update_of_a_display_reaches_the_earlier_cell_that_shows_it(script: Script) -> None:
    script.run("h = display('a', display_id=True)", display({"text/plain": "a"}, "d"))
    growing = Fold()
    for record in script.records:
        growing.add(record)
    growing.notebook()
    seen = len(script.records)
    script.run("h.update('b')", display({"text/plain": "b"}, "d", "update_display_data"))
    for record in script.records[seen:]:
        growing.add(record)
    first, second = growing.notebook()["cells"]
    assert first["outputs"] == [{"output_type": "display_data", "data": {"text/plain": "b"}, "metadata": {}}]
    assert second["outputs"] == []


@pytest.mark.parametrize("wait", [True, False])
def test_clear_output_waits_across_records_for_the_next_output(script: Script, wait: bool) -> None:
    script.add("start", run="r", cell="c", source="x")
    script.add("output", run="r", outputs=[stdout("old\n"), {"output_type": "clear_output", "wait": wait}])
    assert bool(cells(script.records)[0]["outputs"]) is wait
    script.add("output", run="r", outputs=[stdout("new\n")])
    assert cells(script.records)[0]["outputs"] == [stdout("new\n")]


def test_an_error_is_tagged_so_that_plain_jupyter_goes_on(small_session: Script) -> None:
    cell = next(c for c in cells(small_session.records, "code") if c["source"] == "1/0")
    assert cell["metadata"]["tags"] == ["raises-exception"]
    assert cell["metadata"]["kernel_gateway"]["exit"] == "error"


def test_a_setup_cell_is_folded_away_under_a_line_that_says_what_it_does(small_session: Script) -> None:
    found = cells(small_session.records)
    place = next(i for i, c in enumerate(found) if "kernel-gateway-setup" in c["metadata"].get("tags", []))
    assert found[place]["metadata"]["jupyter"] == {"source_hidden": True}
    assert "INPUT_DIR" in found[place - 1]["source"]
    assert found[place - 1]["id"] == "setup-setup-above"


def test_a_timed_out_cell_is_text_with_source_output_and_cause_and_keeps_its_pictures(small_session: Script) -> None:
    (raw,) = cells(small_session.records, "raw")
    assert raw["source"].startswith("k = 1\nwhile True: pass\n\n# ── timed out after 0.5 s ──\n")
    assert "\n# working\n" in raw["source"]
    compile(raw["source"], "cell", "exec")
    pictures = next(c for c in cells(small_session.records) if c["id"] == raw["id"] + "-pictures")
    assert pictures["attachments"] == {"picture-1.png": {"image/png": PNG}}
    assert "attachment:picture-1.png" in pictures["source"]


def test_a_raw_cell_has_a_type_that_nbconvert_does_not_copy_into_html(small_session: Script) -> None:
    (raw,) = cells(small_session.records, "raw")
    assert raw["metadata"]["raw_mimetype"] == "text/plain"


def test_a_death_names_its_cause_and_what_is_lost(script: Script) -> None:
    script.add("start", run="r", cell="c", source="eat()")
    script.add("death", generation=1, run="r", cause="out of memory", detail="It used 9 GB.", names=["df", "x"])
    script.add("end", run="r", exit="died", duration=3.0)
    (cell,) = cells(script.records)
    assert cell["cell_type"] == "raw"
    assert "# ── the kernel died after 3.0 s: out of memory ──" in cell["source"]
    assert "# It used 9 GB." in cell["source"]
    assert "# Names lost: df, x" in cell["source"]


def test_an_aborted_cell_says_that_it_never_ran(script: Script) -> None:
    script.run("x", exit="aborted", execution_count=None)
    (cell,) = cells(script.records)
    assert "never ran" in cell["source"]


def test_no_output_ends_a_comment_of_a_raw_cell(script: Script) -> None:
    script.run("while 1: pass", stdout("50%\rimport os\x0bimport os\u2028import os\n"), exit="interrupted")
    (cell,) = cells(script.records)
    assert [line for line in cell["source"].splitlines()[2:] if not line.startswith("#")] == []


def test_a_hidden_run_makes_no_cell(script: Script) -> None:
    run = script.run("secret", stdout("x\n"), hidden=True)
    script.add("output", run=run, outputs=[stdout("late\n")])
    assert cells(script.records) == []


def test_outputs_whose_start_is_damaged_are_still_shown(script: Script) -> None:
    script.run("print(1)", stdout("1\n"))
    (cell,) = cells(script.records[1:])
    assert "damaged" in cell["source"]
    assert "# 1" in cell["source"]


def test_a_cut_output_says_how_much_and_links_the_whole(script: Script) -> None:
    script.run("x", stdout("…"), kept=10, total=5000, whole="r1.txt")
    code, note = cells(script.records)
    assert code["outputs"] == [stdout("…")]
    assert "10 of 5,000 bytes" in note["source"]
    assert "[outputs/r1.txt](outputs/r1.txt)" in note["source"]


def test_the_recorders_own_words_about_a_cut_are_shown_once(script: Script) -> None:
    said = "The output was cut: 10 of 5,000 bytes are in the notebook; the whole is in outputs/r1.txt."
    script.run("x", kept=10, total=5000, whole="r1.txt", notice=said)
    note = cells(script.records)[1]["source"]
    assert note.count("5,000") == 1
    assert "[outputs/r1.txt](outputs/r1.txt)." in note


def test_a_prompt_and_a_cell_of_one_name_get_ids_of_their_own(script: Script) -> None:
    script.add("prompt", cell="c", text="Hello")
    script.run("x", cell="c")
    first, second = (c["id"] for c in cells(script.records))
    assert first == "c"
    assert second != "c"


def test_the_metadata_tell_of_the_session(small_session: Script) -> None:
    metadata = fold(small_session.records)["metadata"]
    ours = metadata["kernel_gateway"]
    assert ours["schema"] == 1
    assert (ours["session"], ours["engine"], ours["model"]) == ("amber-wren", "bubblewrap", "claude-x")
    assert ours["inputs"] == [
        {"path": "data.csv", "bytes": 12, "sha256": "a" * 64, "origin": "upload", "mime": "text/csv"}
    ]
    assert ours["outputs"] == [{"path": "chart.png", "bytes": 70, "sha256": "b" * 64}]
    assert ours["usage"] == {"input_tokens": 10, "output_tokens": 5, "turns": 1, "cost": 0.25}
    assert metadata["kernelspec"]["name"] == "python3"
    assert metadata["language_info"]["version"] == "3.11.9"
    assert metadata["title"] == "Draw the data."


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        ("Draw it.\nPlease.", "Draw it."),
        ("The package x comes with weather of Seattle. Copy it here and show me what a typical year looks like.",
         "The package x comes with weather of Seattle."),
        ("word " * 40, f"{('word ' * 15).strip()}…"),
        ("x" * 200, f"{'x' * 79}…"),
    ],
)  # fmt: skip
def test_the_title_is_the_first_prompt_in_short(script: Script, prompt: str, title: str) -> None:
    script.add("prompt", cell="p", text=prompt)
    assert fold(script.records)["metadata"]["title"] == title


def test_the_metadata_of_a_cell_tell_of_its_run(small_session: Script) -> None:
    cell = next(c for c in cells(small_session.records) if c["id"] == "plot")
    ours = cell["metadata"]["kernel_gateway"]
    assert {k: ours[k] for k in ("turn", "tool", "author", "exit", "duration")} == {
        "turn": "t1",
        "tool": "python",
        "author": "model",
        "exit": "ok",
        "duration": 0.5,
    }
    assert set(cell["metadata"]["execution"]) == {"iopub.execute_input", "shell.execute_reply"}


def test_a_turn_of_unknown_price_makes_the_sum_unknown(script: Script) -> None:
    script.add("turn", turn="a", state="ended", usage={"output_tokens": 1}, cost=0.5)
    script.add("turn", turn="b", state="ended", usage={"output_tokens": 2}, cost=None)
    assert fold(script.records)["metadata"]["kernel_gateway"]["usage"] == {"output_tokens": 3, "turns": 2, "cost": None}


def test_long_texts_come_back_from_their_blobs(script: Script, tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    script.run("x", externalize(display({"image/png": PNG * 2000}), blobs))
    (cell,) = fold(script.records, blobs)["cells"]
    assert cell["outputs"][0]["data"]["image/png"] == PNG * 2000
