"""The script: it runs with Python alone and prints what the notebook showed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat import v4

from kernel_gateway.notebook.export_py import script
from kernel_gateway.notebook.setup import bash_cell, setup_cell

SETUP = {"tags": ["kernel-gateway-setup"]}


def run(folder: Path, *sources: str, raises: str = "") -> str:
    """What a plain Python, without any installed package, prints for the script of these cells."""
    cells = [v4.new_code_cell(setup_cell(), metadata=SETUP), v4.new_code_cell(bash_cell(), metadata=SETUP)]
    cells += [v4.new_code_cell(s, metadata={"tags": ["raises-exception"]} if s == raises else {}) for s in sources]
    file = folder / "script.py"
    file.write_text(script(v4.new_notebook(cells=cells), "Title"))
    done = subprocess.run(
        [sys.executable, "-S", "-E", file.name], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("sources", "printed"),
    [
        (["x = 20", "x + 1"], "21\n"),
        (["x = 'é'; (x +\n  'ü')  # both"], "'éü'\n"),
        (["1;"], ""),
        (["print(1)"], "1\n"),
        (["%%bash\nx=5; cd /", "%%bash\necho $x $PWD"], "5 /\n"),
        (["import asyncio\nx = await asyncio.sleep(0, 7)", "x"], "7\n"),
        (["name = 'a b'\n!echo {name} $name"], "a b a b\n"),
        (["found = !printf 'a\\nb'", "found"], "['a', 'b']\n"),
        (["%%writefile a.txt\nit's '''here'''", "open('a.txt').read()"], repr("it's '''here'''") + "\n"),
        (["%matplotlib inline\nprint(1)", "%%time\nprint(2)", "len?"], "1\n2\n"),
        (["from __future__ import annotations\nx = 3", "x"], "3\n"),
    ],
)
def test_the_script_prints_what_the_notebook_shows(tmp_path: Path, sources: list[str], printed: str) -> None:
    assert run(tmp_path, *sources) == printed


def test_the_script_goes_on_behind_a_cell_that_raised(tmp_path: Path) -> None:
    assert run(tmp_path, "x = 1\n1/0", "x", raises="x = 1\n1/0") == "1\n"


def test_it_works_in_the_workspace_beside_it(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "a.csv").write_text("here")
    assert run(tmp_path, "open('a.csv').read()") == "'here'\n"


def test_words_and_what_is_kept_as_text_are_comments() -> None:
    cells = [v4.new_markdown_cell("Said\nin two lines"), v4.new_raw_cell("while True: pass")]
    found = script(v4.new_notebook(cells=cells), "Title")
    assert "# %% [markdown]\n# Said\n# in two lines" in found
    assert "# while True: pass" in found


PIECES = [*"ab\n '\"\\%!?=()[]{}#é$,;", "%%bash\n", "'''", "await ", "x = ", "return "]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_any_cell_leaves_the_script_valid(source: str) -> None:
    compile(script(v4.new_notebook(cells=[v4.new_code_cell(source)]), source), "script", "exec")
