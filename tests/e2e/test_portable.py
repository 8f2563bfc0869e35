"""P3: a session's notebook runs in plain Jupyter, in place and elsewhere, to the same outputs."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

from tests.conftest import stop_session

from . import awkward
from .person import Played
from .rerun import Jupyter, copy_of, differences, outputs, pngs


def _rerun_both(played: Played, jupyter: Jupyter, elsewhere: Path) -> None:
    """The copy is made first: in place the files of the session are changed by the run."""
    asyncio.run(stop_session(played.folder))
    recorded = outputs(played.notebook, Path("/workspace"))
    notebooks = [copy_of(played.folder.path, elsewhere / "copy"), played.folder.notebook]
    with ThreadPoolExecutor() as both:
        for notebook, again in zip(notebooks, both.map(jupyter.execute, notebooks), strict=True):
            assert differences(recorded, outputs(again, notebook.parent / "workspace")) == []
            assert pngs(again) == pngs(played.notebook)


def test_nothing_of_ours_is_importable_there(bare_jupyter: Jupyter, jupyter: Jupyter) -> None:
    assert not bare_jupyter.can_import("kernel_gateway")
    assert not jupyter.can_import("kernel_gateway")
    assert jupyter.can_import("ipykernel")


def test_the_awkward_notebook(awkward_session: Played, bare_jupyter: Jupyter, tmp_path: Path) -> None:
    _rerun_both(awkward_session, bare_jupyter, tmp_path)


def test_the_notebook_of_the_joins(explored: Played, jupyter: Jupyter, tmp_path: Path) -> None:
    _rerun_both(explored, jupyter, tmp_path)


def test_the_notebook_of_the_three_turns(charted: Played, jupyter: Jupyter, tmp_path: Path) -> None:
    _rerun_both(charted, jupyter, tmp_path)


def test_the_notebooks_of_the_recordings(played_back: Played, jupyter: Jupyter, tmp_path: Path) -> None:
    # The recorded model wrote there; both runs write the same.
    made = [Path("/tmp/fibonacci.py"), Path("/tmp/fibonacci_calculator.py")]
    if taken := [path for path in made if path.exists()]:
        pytest.skip(f"the recorded calls write {taken}, which exist on this machine")
    try:
        _rerun_both(played_back, jupyter, tmp_path)
    finally:
        for path in made:
            path.unlink(missing_ok=True)


# What is awkward, live


@pytest.fixture(scope="module")
def shown(awkward_session: Played) -> dict[str, str]:
    """What each call of the awkward turn came to: the printed text, results and errors of its cell."""
    found: dict[str, str] = {}
    for cell in awkward_session.cells:
        call = cell["metadata"].get("kernel_gateway", {}).get("tool_use_id")
        if call is None:
            continue
        items = cell.get("outputs", [])
        # stdout and stderr are not ordered against each other.
        items = sorted(items, key=lambda output: output.get("name") == "stderr")
        streams = "".join("".join(o.get("text", o.get("data", {}).get("text/plain", ""))) for o in items)
        errors = "".join(f"{o['ename']}: {o['evalue']}" for o in items if "ename" in o)
        found[call.removeprefix("toolu_")] = streams + errors
    return found


def test_the_awkward_notebook_validates_and_has_each_call_in_order(awkward_session: Played) -> None:
    nbformat.validate(nbformat.read(awkward_session.folder.notebook, as_version=4), relax_add_props=False)
    ours = [c["metadata"].get("kernel_gateway", {}) for c in awkward_session.cells]
    assert [c["tool_use_id"] for c in ours if "tool_use_id" in c] == list(awkward.IDS)


@pytest.mark.parametrize(
    ("call", "output"),
    [
        ("bash_use", "data\nhello Aare from Bern\nLOUD\na\nb\npipefail: 1\n"),
        ("after_error", "42"),
        ("node_use", "[ 1, 2, 84 ]\ncareful\n"),
        ("node_again", "{ answer: 3 }\n"),
        ("after_loop", "41 42\n"),
        ("bash_after_loop", "data\nhello Aare from Bern\n"),
        ("use_module", "42"),
        ("bash_after_exit", "data\nhello Aare from Bern\n"),
        ("after_death", "False\n"),
        ("bash_after_death", "[][]\nworkspace\nbash: type: greet: not found\nletters.txt\n"),
        ("node_after_death", "'undefined'\n"),
        ("after_restart", "False workspace\n"),
        ("bash_after_restart", "[][]\nworkspace\nbash: type: greet: not found\nletters.txt\n"),
        ("node_after_restart", "1\n"),
    ],
)
def test_state_after_what_is_awkward(shown: dict[str, str], call: str, output: str) -> None:
    assert shown[call] == output


def test_what_a_late_thread_prints_is_not_lost(shown: dict[str, str]) -> None:
    assert (shown["late"] + shown["after_late"]).replace("late\n", "", 1) == "begun\njoined\n"


@pytest.mark.parametrize(("call", "exit_"), [("loop", "timeout"), ("dies", "died")])
def test_what_would_hang_or_die_again_is_kept_as_text(awkward_session: Played, call: str, exit_: str) -> None:
    (cell,) = (c for c in awkward_session.cells if c["id"] and _call_of(c) == f"toolu_{call}")
    assert (cell["cell_type"], cell["metadata"]["kernel_gateway"]["exit"]) == ("raw", exit_)


def _call_of(cell: dict[str, dict[str, dict[str, str]]]) -> str | None:
    return cell["metadata"].get("kernel_gateway", {}).get("tool_use_id")


def test_the_model_is_told_of_the_death_with_what_is_lost(awkward_session: Played) -> None:
    told = str(awkward_session.tool_results()["toolu_dies"]["content"])
    assert "The kernel died" in told
    assert "Names lost" in told
