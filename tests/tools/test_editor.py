from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from kernel_gateway.tools import find
from kernel_gateway.tools.base import BadToolInput

from ..notebook.plain_kernel import plain_kernel
from .test_literal import ANY_TEXT

EDITOR = find("str_replace_based_edit_tool")
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def source(command: str, path: str, **more: Any) -> str:
    plan = EDITOR.plan({"command": command, "path": path, **more})
    assert (plan.kind, plan.needs, plan.timeout) == ("cell", (), None)
    return plan.source


@pytest.fixture(scope="module")
def shell() -> InteractiveShell:
    return InteractiveShell(
        config=Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder while the cells of this module run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder := tmp_path_factory.mktemp("place"))
        yield folder


@pytest.fixture
def run(shell: InteractiveShell, place: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Runs a cell in a real shell, raises its error, gives what it printed."""

    def run(cell: str) -> str:
        capsys.readouterr()
        shell.run_cell(cell).raise_error()
        return capsys.readouterr().out

    return run


@given(ANY_TEXT, st.sampled_from(["plain.txt", "deep/er/file.txt", "a b.txt", "{x}$y.txt", "-a"]))
@settings(deadline=None)
def test_create_writes_exactly_the_text(shell: InteractiveShell, place: Path, text: str, path: str):
    for written in (text, text + "\n", ">>> " + text + "\n", "\n" + text + "\n"):
        shell.run_cell(source("create", path, file_text=written)).raise_error()
        assert (place / path).read_bytes() == written.encode("utf-8", "surrogatepass")


@given(ANY_TEXT, ANY_TEXT.filter(bool), ANY_TEXT, st.binary())
@settings(deadline=None)
def test_a_replacement_changes_exactly_the_old_text(
    shell: InteractiveShell, place: Path, new: str, old: str, head: str, tail: bytes
):
    raw_old, raw_new = (text.encode("utf-8", "surrogatepass") for text in (old, new))
    data = head.encode("utf-8", "surrogatepass") + raw_old + tail
    (place / "x").write_bytes(data)
    ran = shell.run_cell(source("str_replace", "x", old_str=old, new_str=new))
    if data.count(raw_old) == 1:
        ran.raise_error()
        assert (place / "x").read_bytes() == data.replace(raw_old, raw_new)
    else:
        assert isinstance(ran.error_in_exec, AssertionError)
        assert (place / "x").read_bytes() == data


@given(st.lists(st.text("ab\r")), st.booleans(), st.text("cd\n"), st.integers(0, 5))
@settings(deadline=None)
def test_insert_makes_lines_of_their_own(
    shell: InteractiveShell, place: Path, lines: list[str], ends: bool, text: str, after: int
):
    before = "\n".join(lines) + ("\n" if ends and lines else "")
    (place / "x").write_bytes(before.encode())
    count = before.count("\n") + bool(before and not before.endswith("\n"))
    ran = shell.run_cell(source("insert", "x", insert_line=after, insert_text=text))
    got = (place / "x").read_bytes().decode()
    if after > count:
        assert f"x has {count} lines, fewer than {after}" in str(ran.error_in_exec)
        assert got == before
        return
    expected = before.split("\n")
    expected[after:after] = text.removesuffix("\n").split("\n")
    assert got == "\n".join(expected)


def test_create_shows_the_text_as_it_is():
    cell = source("create", "/workspace/report.md", file_text="# Title\n\nText\n")
    assert '_create(\'report.md\', """# Title\n\nText\n""")' in cell


def test_create_makes_folders_and_says_the_same_when_the_file_is_there_already(run: Callable[[str], str]):
    cell = source("create", "new/folder/x.py", file_text="a = 1\n")
    assert run(cell) == "Wrote new/folder/x.py: 6 bytes.\n"
    assert run(cell) == "Wrote new/folder/x.py: 6 bytes.\n"


def test_an_edit_shows_the_lines_around(run: Callable[[str], str], place: Path):
    (place / "x.py").write_text("".join(f"line {i}\n" for i in range(1, 21)))
    shown = run(source("str_replace", "x.py", old_str="line 10\n", new_str="ten\nmore\n"))
    assert shown.startswith("Edited x.py: 1 replacement.\n     7\tline 7\n")
    assert "    10\tten\n    11\tmore\n    12\tline 11\n" in shown
    assert "line 1\n" not in shown


def test_text_that_occurs_twice_is_refused_with_the_count(run: Callable[[str], str], place: Path):
    (place / "x.py").write_text("a a")
    with pytest.raises(AssertionError, match=r"the old text occurs 2 times in x\.py, not once; nothing was changed"):
        run(source("str_replace", "x.py", old_str="a", new_str="b"))


def test_view_numbers_the_lines(run: Callable[[str], str], place: Path):
    (place / "x.py").write_text("one\n\nthree")
    assert run(source("view", "x.py")) == "     1\tone\n     2\t\n     3\tthree"
    assert run(source("view", "x.py", view_range=[2, 2])) == "     2\t\n"
    assert run(source("view", "x.py", view_range=[2, -1])) == "     2\t\n     3\tthree"


def test_view_beyond_the_end_says_how_many_lines_there_are(run: Callable[[str], str], place: Path):
    (place / "x.py").write_text("one\ntwo\n")
    with pytest.raises(AssertionError, match=r"x\.py has 2 lines"):
        run(source("view", "x.py", view_range=[5, 9]))


def test_a_long_view_is_cut_and_says_where(run: Callable[[str], str], place: Path):
    (place / "x.txt").write_text("0123456789\n" * 10_000)
    shown = run(source("view", "x.txt"))
    assert len(shown) < 60_000
    assert shown.endswith("[cut in or after line 2728: view_range shows more]\n")


def test_view_of_a_folder_lists_two_levels_without_hidden_ones(run: Callable[[str], str], place: Path):
    folder = place / "tree"
    (folder / "a" / "b").mkdir(parents=True)
    for name in ("a/b/too deep", "a/two", "one", ".hidden", "node_modules/x/y"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("123")
    assert run(source("view", "tree")) == "a/\na/b/\na/two  (3 bytes)\none  (3 bytes)\n"


def test_view_refuses_what_is_no_text(run: Callable[[str], str], place: Path):
    (place / "x.bin").write_bytes(b"a\0b")
    with pytest.raises(AssertionError, match=r"x\.bin is no text; it has 3 bytes"):
        run(source("view", "x.bin"))


def test_view_of_a_picture_displays_it(tmp_path: Path):
    (tmp_path / "x.PNG").write_bytes(PNG)
    with plain_kernel(tmp_path) as kernel:
        ran = kernel.run(source("view", "/workspace/x.PNG"))
    assert (ran.error, list(ran.results[0])) == (None, ["image/png", "text/plain"])


@pytest.mark.parametrize("command", ["create", "str_replace", "insert", "view"])
def test_cells_leave_and_need_no_names(shell: InteractiveShell, place: Path, command: str):
    (place / "x").write_text("old")
    shell.user_ns.update(dict.fromkeys(("print", "len", "enumerate", "Path", "any", "sorted"), 5))
    before = set(shell.user_ns)
    for path in ("x", "missing/x"):
        fields = {"old_str": "old", "new_str": "new", "insert_line": 0, "insert_text": "t", "file_text": "old"}
        shell.run_cell(source(command, path, **fields))
    assert set(shell.user_ns) == before
    for name in ("print", "len", "enumerate", "Path", "any", "sorted"):
        assert shell.user_ns.pop(name) == 5


@pytest.mark.parametrize(
    ("path", "recorded"),
    [
        ("/workspace/x.py", "x.py"),
        ("/workspace//a/./x.py", "a/x.py"),
        ("//workspace/x.py", "x.py"),
        ("./x.py", "x.py"),
        ("/workspacex/x.py", "/workspacex/x.py"),
        ("/tmp/x.py", "/tmp/x.py"),
        ("/workspace", "."),
        ("/workspace/../etc/x", "/etc/x"),
    ],
)
def test_paths_are_recorded_relative(path: str, recorded: str):
    assert f"_view({recorded!r})" in source("view", path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "`path` is missing."),
        ({"path": "x"}, "`command` is missing."),
        (
            {"path": "x", "command": "undo_edit"},
            "`command` must be view, create, str_replace or insert, not 'undo_edit'.",
        ),
        ({"path": " ", "command": "view"}, "The path is empty."),
        ({"path": "a\nb", "command": "view"}, "The path holds a line break or a character that cannot be printed."),
        (
            {"path": "x", "command": "view", "view_range": [3, 2]},
            "`view_range` counts lines from 1, and its last is not before its first",
        ),
        ({"path": "x", "command": "view", "view_range": [True, 2]}, "`view_range` must be a whole number."),
        ({"path": "x", "command": "view", "view_range": 3}, "`view_range` must be two numbers"),
        ({"path": "x", "command": "create", "file_text": 3}, "`file_text` must be a string."),
        ({"path": "x", "command": "str_replace"}, "`old_str` is missing."),
        ({"path": "x", "command": "str_replace", "old_str": ""}, "`old_str` is empty. Use insert"),
        (
            {"path": "x", "command": "insert", "insert_line": -1, "insert_text": ""},
            "`insert_line` is the line after which to insert",
        ),
    ],
)
def test_bad_input_is_refused_in_words(arguments: dict[str, Any], message: str):
    with pytest.raises(BadToolInput) as raised:
        EDITOR.plan(arguments)
    assert str(raised.value).startswith(message)
