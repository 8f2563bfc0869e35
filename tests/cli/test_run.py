from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Cli

pytestmark = pytest.mark.usefixtures("image")


def test_a_cell_prints_and_its_value_is_shown(cli: Cli) -> None:
    done = cli("run", "-", stdin="print('hello')\n6 * 7\n")
    assert (done.code, done.out) == (0, "hello\n42\n")


def test_the_end_says_where_the_notebook_is_and_how_to_open_it(cli: Cli, data: Path) -> None:
    done = cli("run", "-", "--name", "first", stdin="1")
    notebook = data / "sessions" / "first" / "notebook.ipynb"
    assert f"Notebook: {notebook}\nOpen it:  jupyter lab {notebook}\n" in done.err
    assert notebook.is_file()


def test_stdout_and_stderr_of_the_cell_are_ours(cli: Cli) -> None:
    done = cli("run", "-", stdin="import sys; print('out', end=''); print('err', file=sys.stderr)")
    assert done.out == "out"
    assert done.err.startswith("err\n")


def test_variables_stay_from_one_command_to_the_next(cli: Cli) -> None:
    cli("run", "-", "--name", "amber", stdin="x = 20")
    assert cli("run", "-", "--session", "amb", stdin="x + 1").out == "21\n"


def test_a_failed_cell_is_exit_code_1_with_its_traceback_on_stderr(cli: Cli) -> None:
    done = cli("run", "-", stdin="1/0")
    assert done.code == 1
    assert "ZeroDivisionError" in done.err
    assert "\x1b" not in done.err


def test_a_death_is_told_with_its_cause(cli: Cli) -> None:
    done = cli("run", "-", stdin="import os; os._exit(1)")
    assert done.code == 1
    assert "The kernel died" in done.err


@pytest.mark.parametrize(
    ("name", "source"), [("a.py", "print(6*7)"), ("a.sh", "echo $((6*7))"), ("a.js", "console.log(6*7)")]
)
def test_the_language_is_told_by_the_suffix(cli: Cli, tmp_path: Path, name: str, source: str) -> None:
    (tmp_path / name).write_text(source)
    assert cli("run", tmp_path / name).out == "42\n"


def test_escape_sequences_of_the_kernel_do_not_reach_the_terminal(cli: Cli) -> None:
    done = cli("run", "-", stdin=r"print('\x1b]0;title\x07\x1b[2J\x1b[31mred')")
    assert done.out == "\\x1b]0;title\\x07\\x1b[2Jred\n"


def test_json_has_outputs_files_and_how_it_ended(cli: Cli) -> None:
    done = cli("run", "-", "--json", stdin="open('a.txt', 'w').write('hi')")
    assert done.json | {"session": "", "cell": ""} == {
        "session": "",
        "cell": "",
        "exit": "ok",
        "outputs": [
            {"output_type": "execute_result", "data": {"text/plain": "2"}, "metadata": {}, "execution_count": 2}
        ],
        "files": [
            {
                "path": "a.txt",
                "bytes": 2,
                "sha256": "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4",
            }
        ],
        "notice": None,
    }


def test_a_picture_is_linked_in_the_folder_of_pictures(cli: Cli, data: Path) -> None:
    done = cli("run", "-", "--name", "plot", stdin="import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()")
    (picture,) = (data / "sessions" / "plot" / "pictures").iterdir()
    assert f"picture: {picture.as_uri()}" in done.err


def test_a_timeout_ends_the_cell(cli: Cli) -> None:
    done = cli("run", "-", "--timeout", "1", stdin="import time; time.sleep(600)")
    assert (done.code, "timeout" in done.err) == (1, True)


def test_a_mount_is_read_only_at_inputs(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "data.txt").write_text("mounted")
    tmp_path.chmod(0o755)
    done = cli(
        "run",
        "-",
        "--mount",
        f"{tmp_path / 'big'}:set",
        "-l",
        "bash",
        stdin="cat inputs/set/data.txt; touch inputs/set/x",
    )
    assert "mounted" in done.out
    assert "Read-only" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "book.ipynb"], "nbconvert"),
        (["run", "data.xyz"], "--language"),
        (["run", "missing.py"], "There is no file"),
        (["run", "-", "--language", "perl"], "perl"),
        (["run", "-", "--session", "none"], "There is no session"),
        (["run", "-", "--timeout", "soon"], "no time"),
        (["run", "-", "--name", "../x"], "cannot be a session's name"),
        (["run", "-", "--engine", "none"], "It takes one of"),
        (["run", "-", "--image", "none"], "There is no image"),
        (["run", "-", "--mount", "/etc"], "belongs to the system"),
        (["run"], "Missing argument"),
    ],
)
def test_bad_use_is_exit_code_2_and_leaves_nothing(cli: Cli, data: Path, arguments: list[str], message: str) -> None:
    done = cli(*arguments, stdin="1")
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err
    assert not list(data.glob("sessions/*"))


def test_errors_are_json_when_json_is_wanted(cli: Cli) -> None:
    import json

    done = cli("run", "missing.py", "--json")
    assert json.loads(done.err)["error"] == {
        "type": "NotFound",
        "message": "There is no file 'missing.py'.",
        "next": "Give the path of a file, or - for standard input.",
    }
