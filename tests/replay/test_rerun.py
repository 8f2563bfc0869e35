from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.errors import BadRequest
from kernel_gateway.replay.parameters import parse_value, with_parameters
from kernel_gateway.replay.source import Recording, read_recording

from .conftest import Cli, code, printed, write_notebook


def sources(recording: Recording) -> list[str]:
    return [c.source for c in recording.cells]


def test_a_parameters_cell_is_followed_by_the_injected_one_as_papermill_does(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "n.ipynb", code("year = 2020", tags=("parameters",)), code("print(year)"))
    changed, said = with_parameters(read_recording(path), {"year": 2024})
    assert sources(changed) == ["year = 2020", "# Parameters\nyear = 2024", "print(year)"]
    assert [c.number for c in changed.cells] == [1, 2, 3]
    assert changed.cells[1].tags == ("injected-parameters",)
    assert said == ["after cell 1: year = 2024"]


def test_an_earlier_injected_cell_is_replaced(tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "n.ipynb",
        code("year = 2020", tags=("parameters",)),
        code("# Parameters\nyear = 2021", tags=("injected-parameters",)),
    )
    changed, _ = with_parameters(read_recording(path), {"year": 2024})
    assert sources(changed) == ["year = 2020", "# Parameters\nyear = 2024"]


def test_any_literal_at_the_top_level_is_a_parameter(tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "n.ipynb",
        code("%%time\nimport os  # ä\nä = 'ö'; rate: float = 0.1  # yes\nlater = [1,\n 2]\nlisting = !ls"),
        code("rate = 3"),
    )
    changed, _ = with_parameters(read_recording(path), {"rate": 0.2, "later": [3]})
    assert sources(changed) == [
        "%%time\nimport os  # ä\nä = 'ö'; rate: float = 0.2  # yes\nlater = [3]\nlisting = !ls",
        "rate = 3",
    ]


def test_an_unknown_name_lists_the_candidates(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "n.ipynb", code("rate = 0.1\nlisting = !ls\nf = open"))
    with pytest.raises(BadRequest, match=r"could be one of: rate = 0\.1"):
        with_parameters(read_recording(path), {"rat": 1})


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1.5", 1.5), ("true", True), ("None", None), ("[1, 'a']", [1, "a"]), ("a b", "a b"), ("", "")],
)
def test_values_are_literals_or_texts(text: str, value: object) -> None:
    assert parse_value(text) == value


@given(st.text())
def test_any_text_is_a_value(text: str) -> None:
    parse_value(text)


def test_a_rerun_takes_another_file_and_value_and_names_its_origin(cli: Cli, data: Path, tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("1\n")
    (tmp_path / "new.csv").write_text("5\n")
    path = write_notebook(
        tmp_path / "n.ipynb",
        {"cell_type": "markdown", "metadata": {}, "source": "# The sum"},
        code("factor = 2"),
        code("print(int(open('old.csv').read()) * factor)", printed("2\n")),
        code("print('not reached')"),
    )
    done = cli(
        "rerun", path, "-i", f"old.csv={tmp_path / 'new.csv'}", "-p", "factor=3", "--until", "2", "--name", "again"
    )
    assert (done.code, done.out) == (0, "15\n"), done.err
    notebook = json.loads((data / "sessions" / "again" / "notebook.ipynb").read_text())
    origin = notebook["metadata"]["kernel_gateway"]["origin"]
    assert (origin["notebook"], len(origin["sha256"])) == ("n.ipynb", 64)
    shown = ["".join(c["source"]) for c in notebook["cells"]]
    assert "# The sum" in shown
    assert "factor = 3" in shown
    assert "print('not reached')" not in shown


def test_a_cell_that_fails_now_stops_it_with_a_usable_notebook(cli: Cli, data: Path, tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "n.ipynb",
        code("n = 2"),
        code("1/0", {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "", "traceback": []}),
        code("print(1 / (2 - n))"),
        code("print('after')"),
    )
    assert cli("rerun", path, "--name", "fails", "--json").json["failed"] == 3
    assert cli("rerun", path, "-p", "n=1", "--name", "works").out.splitlines()[-1] == "after"
    partial = json.loads((data / "sessions" / "fails" / "notebook.ipynb").read_text())
    assert [c["source"] for c in partial["cells"] if c["cell_type"] == "code"][-1] == ["print(1 / (2 - n))"]


def test_what_is_not_there_is_refused_before_anything_is_made(cli: Cli, data: Path, tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "n.ipynb", code("n = 2"))
    for arguments in (("-p", "m=1"), ("-p", "m"), ("-i", "a=b"), ("--until", "7")):
        done = cli("rerun", path, *arguments)
        assert (done.code, done.err.startswith("Error:")) == (2, True)
    assert not (data / "sessions").exists()
