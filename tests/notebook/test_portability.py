"""What would keep a notebook from running elsewhere is told, cell by cell; what would not is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat import v4

from kernel_gateway.notebook.build import fold
from kernel_gateway.notebook.portability import problems
from kernel_gateway.notebook.sources import Source, names_needed

from .journals import Script


def told(*sources: str, folder: Path | None = None) -> list[tuple[int, str]]:
    notebook = v4.new_notebook(cells=[v4.new_code_cell(s) for s in sources])
    return [(p.number, p.text) for p in problems(notebook, folder)]


@pytest.mark.parametrize(
    "source",
    [
        "open('/workspace/a.csv', 'w')",
        "f'/tmp/{x}'",
        "p = '~/a'",
        "!ls /home/me/x",
        "%cd /workspace",
        "%%bash\ncat /workspace/a.csv",
        "%%bash\nX=/tmp/x",
        "%%node\nfs.readFileSync('/workspace/a')",
        "%%writefile /tmp/a.txt\nx",
        "p = r'C:\\data\\x'",
    ],
)
def test_an_absolute_path_is_told(source: str) -> None:
    assert any("absolute path" in text for _, text in told(source))


@pytest.mark.parametrize(
    "source",
    [
        "'''Writes to /tmp/x.'''\nx = 1",
        "# /workspace/a.csv",
        "u = 'https://example.org/tmp/x'",
        "r = a / b / c",
        "'a/b/tmp/c'.split('/')",
        "%%bash\n# in /tmp\necho a/tmp/b",
        "%%bash\ncd data && ls ../x",
        "%%writefile a.txt\n/tmp/x is only text here",
        "re.sub('/+', '/', s)",
    ],
)
def test_what_is_no_absolute_path_is_not_told(source: str) -> None:
    assert not any("absolute path" in text for _, text in told(source))


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("%pip install seaborn", "pip install seaborn"),
        ("!pip install -q x && echo", "pip install -q x"),
        ("import subprocess\nsubprocess.run(['pip', 'install', 'x'])", "pip install x"),
        ("%%bash\nnpm install lodash", "npm install lodash"),
        ("%%bash\ncurl -O https://example.org/x", "curl -O"),
        ("%%bash\ngit clone https://example.org/x", "git clone"),
        ("requests.get(u)", "requests.get"),
        ("pd.read_csv('https://example.org/x.csv')", "pd.read_csv"),
        ("from urllib.request import urlopen\nurlopen(u)", "urlopen"),
        ("sns.load_dataset('tips')", "sns.load_dataset"),
        ("%%node\nawait fetch(u)", "fetch"),
    ],
)
def test_use_of_the_network_is_told(source: str, what: str) -> None:
    assert any("network" in text and what in text for _, text in told(source))


@pytest.mark.parametrize(
    "source", ["d.get('https://a')", "%pip list", "x = 'pip install y'", "%%bash\necho curl", "import requests"]
)
def test_what_only_looks_like_the_network_is_not_told(source: str) -> None:
    assert not any("network" in text for _, text in told(source))


def test_a_file_that_no_cell_makes_is_told_once(tmp_path: Path) -> None:
    sources = [
        "pd.read_csv('a.csv')",
        "pd.read_csv('a.csv')",
        "df.to_csv('b.csv')",
        "open('b.csv')",
        "open('c.txt', 'w')",
    ]
    assert told(*sources) == [(1, "reads a.csv, which no cell above makes and nobody gave to the session")]
    (tmp_path / "a.csv").touch()
    assert told(*sources, folder=tmp_path) == []


def test_a_download_that_is_commented_out_makes_no_file() -> None:
    assert told("# !curl -o a.csv https://example.org/a.csv", "pd.read_csv('a.csv')")[0][0] == 2


def test_a_given_file_must_be_taken_along(script: Script, tmp_path: Path) -> None:
    script.add("input", path="data.csv", sha256="a" * 64, bytes=1)
    script.run("import csv")
    script.run("f = open('data.csv')")
    notebook = fold(script.records)
    (problem,) = problems(notebook)
    assert (problem.number, problem.cell) == (2, notebook["cells"][1]["id"])
    assert "take it along in workspace/" in problem.text
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "data.csv").touch()
    assert problems(notebook, tmp_path) == []


def test_a_file_that_a_bash_cell_made_is_known_from_the_record(script: Script) -> None:
    run = script.run("x = compute()")
    script.add("files", run=run, files=[{"path": "made.csv", "bytes": 1, "sha256": "a" * 64}], total=1)
    script.run("open('made.csv')")
    assert problems(fold(script.records)) == []


def test_a_cell_that_ran_again_later_is_told(script: Script) -> None:
    script.run("x = 1", cell="a")
    script.run("y = x", cell="b")
    script.run("x = 2", cell="a")
    assert [(p.cell, p.text) for p in problems(fold(script.records))] == [
        ("a", "ran after cell 2, which stands below it")
    ]


def test_order_of_a_foreign_notebook_is_read_from_its_counts() -> None:
    cells = [v4.new_code_cell("x", execution_count=n) for n in (1, 5, 2, None, 3)]
    found = problems(v4.new_notebook(cells=cells))
    assert [(p.number, p.text) for p in found] == [(2, "ran after cell 3, which stands below it")]


def test_cells_kept_as_text_are_told_and_those_that_may_need_them(script: Script) -> None:
    script.run("k = 0\nwhile True: k += 1", exit="interrupted")
    script.run("z = 1")
    script.run("print(k)")
    script.run("k = 5")
    script.run("print(k)")
    found = [(p.number, p.text) for p in problems(fold(script.records))]
    assert found == [
        (1, "was interrupted and is kept as text: a run of the notebook passes over it"),
        (3, "uses k, which cell 1 (kept as text) may have set"),
    ]


def test_after_a_restart_nothing_is_left_of_a_cell_kept_as_text(script: Script) -> None:
    script.run("k = 0", exit="interrupted")
    script.run("shell.reset()", tags=["kernel-gateway-restart"])
    script.run("print(k)")
    assert len(problems(fold(script.records))) == 1


def test_bash_and_node_are_told_once() -> None:
    assert told("%%bash\ntrue", "x = 1", "%%bash\ntrue", "%%node\n1") == [
        (1, "needs bash 4.4 or newer, on Linux or macOS (so do cells 3)"),
        (4, "needs Node 20 or newer on PATH"),
    ]


def test_our_setup_cells_are_no_problem(script: Script) -> None:
    script.run("import os; os.chdir('/workspace')", tags=["kernel-gateway-setup"])
    assert problems(fold(script.records)) == []


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("x = y", {"y"}),
        ("x = 1\nx", set()),
        ("x += 1", {"x"}),
        ("x = x + 1", {"x"}),
        ("for i in r:\n    print(i)", {"r", "print"}),
        ("def f(a):\n    return a + b", {"a", "b"}),
        ("import os\nos.x", set()),
        ("[i for i in q]", {"i", "q"}),
    ],
)
def test_names_that_a_cell_needs(source: str, needed: set[str]) -> None:
    assert names_needed(Source(source).tree) == needed


@given(
    st.lists(
        st.text(max_size=40) | st.sampled_from(["%%bash\n", "x = !ls", "(" * 300, "\0", "x?", "%%writefile"]),
        max_size=4,
    )
)
def test_no_source_breaks_it(sources: list[str]) -> None:
    cells: list[Any] = [v4.new_code_cell(s) for s in sources]
    problems(nbformat.from_dict({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
