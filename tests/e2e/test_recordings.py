"""Calls of a real model on a hosted service, played back through our loop, give what they gave there."""

from __future__ import annotations

import re

import nbformat

from .person import Played
from .recordings import Recording

# The service had a folder of its own for each container; a session has its workspace.
_OUTPUT_FOLDER = re.compile(r"(/files/output/[0-9a-f]+|/workspace)(?=/)")


def _normal(printed: str) -> str:
    return _OUTPUT_FOLDER.sub("$OUTPUT_DIR", printed)


def test_each_call_prints_what_was_recorded(recording: Recording, played_back: Played) -> None:
    printed = {
        cell["metadata"]["kernel_gateway"]["tool_use_id"]: "".join("".join(o["text"]) for o in cell["outputs"])
        for cell in played_back.cells
        if cell["metadata"]["kernel_gateway"].get("tool") == "bash"
    }
    assert {k: _normal(v) for k, v in printed.items()} == {k: _normal(v) for k, v in recording.printed.items()}


def test_the_model_is_sent_what_was_recorded(recording: Recording, played_back: Played) -> None:
    results = played_back.tool_results()
    for call, printed in recording.printed.items():
        assert "is_error" not in results[call]
        assert _normal(results[call]["content"][0]["text"]).startswith(_normal(printed).rstrip("\n"))


def test_files_for_the_output_folder_are_in_the_workspace(recording: Recording, played_back: Played) -> None:
    made = {path.name for path in played_back.folder.workspace.iterdir()}
    wanted = {"fibonacci_results.xlsx", "fibonacci_calculator.py"} if recording.name.endswith("2.json") else set()
    assert wanted <= made


def test_the_notebook_validates_and_holds_every_word(recording: Recording, played_back: Played) -> None:
    nbformat.validate(nbformat.read(played_back.folder.notebook, as_version=4), relax_add_props=False)
    written = "\n".join(played_back.sources)
    assert [b["text"] for b in recording.content if b["type"] == "text" and b["text"] not in written] == []
