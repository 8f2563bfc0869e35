"""Exports: of a session and of anybody's notebook, by function and by command."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import typer
from nbformat import v4
from typer.testing import CliRunner

from kernel_gateway.cli import export as command
from kernel_gateway.errors import BadRequest, NotFound
from kernel_gateway.journal import Journal
from kernel_gateway.notebook.export import export
from kernel_gateway.notebook.write import write_notebook
from kernel_gateway.session.folder import SessionFolder

from .journals import PNG, Script

Create = Callable[[Script], SessionFolder]


@pytest.fixture
def folder(small_session: Script, session_folder: Create) -> SessionFolder:
    return session_folder(small_session)


def test_a_session_becomes_its_notebook_fresh_from_the_journal(folder: SessionFolder) -> None:
    exported = export(folder, "ipynb")
    assert exported.path == folder.notebook
    nbformat.validate(nbformat.read(exported.path, 4))
    journal = Journal(folder.journal)
    journal.append("words", cell="late", text="the newest")
    journal.close()
    assert nbformat.read(export(folder, "ipynb").path, 4).cells[-1].source == "the newest"


def test_a_persons_edit_survives_an_export(folder: SessionFolder) -> None:
    write_notebook(folder)
    folder.notebook.write_text("edited")
    exported = export(folder, "ipynb")
    assert "notebook.edited-1.ipynb" in exported.notices[0]
    assert (folder.path / "notebook.edited-1.ipynb").read_text() == "edited"


def test_elsewhere_the_given_files_are_missing_and_said_so(folder: SessionFolder, tmp_path: Path) -> None:
    (folder.workspace / "data.csv").touch()
    away = tmp_path / "away"
    away.mkdir()
    assert "data.csv" not in str(export(folder, "ipynb").problems)
    exported = export(folder, "ipynb", away)
    assert exported.path == away / "amber-wren.ipynb"
    assert any("data.csv" in p.text for p in exported.problems)


@pytest.mark.parametrize("named_by", ["notebook", "folder"])
def test_the_path_of_a_sessions_notebook_means_the_session(folder: SessionFolder, named_by: str) -> None:
    write_notebook(folder)
    journal = Journal(folder.journal)
    journal.append("words", cell="late", text="the newest")
    journal.close()
    exported = export(folder.notebook if named_by == "notebook" else folder.path, "html")
    assert exported.path == folder.path / "notebook.html"
    assert "the newest" in exported.path.read_text()


def test_an_edited_notebook_is_exported_as_it_was_edited(folder: SessionFolder) -> None:
    write_notebook(folder)
    edited = nbformat.read(folder.notebook, 4)
    edited.cells.append(v4.new_markdown_cell("my own words"))
    nbformat.write(edited, folder.notebook)
    assert "my own words" in export(folder.notebook, "html").path.read_text()


def test_pictures_of_the_workspace_that_words_link_are_in_the_page(
    script: Script, session_folder: Create, tmp_path: Path
) -> None:
    (tmp_path / "secret.png").write_bytes(base64.b64decode(PNG))
    names = ("workspace/a.png", "a.png", "../secret.png", "workspace/link.png", ".session/x.png")
    script.add("words", cell="w", text=" ".join(f"![x]({name})" for name in names))
    folder = session_folder(script)
    (folder.workspace / "a.png").write_bytes(base64.b64decode(PNG))
    (folder.workspace / "link.png").symlink_to(tmp_path / "secret.png")
    (folder.internals / "x.png").write_bytes(base64.b64decode(PNG))
    assert export(folder, "html").path.read_text().count(PNG) == 2


def test_a_file_that_only_calls_itself_a_picture_stays_out(script: Script, session_folder: Create) -> None:
    script.add("words", cell="w", text="![a](workspace/a.png)")
    folder = session_folder(script)
    (folder.workspace / "a.png").write_text("root:x:0:0")
    assert "cm9vd" not in export(folder, "html").path.read_text()


def test_anybodys_notebook_becomes_a_page_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "theirs.ipynb"
    cells = [
        v4.new_markdown_cell("# Hello"),
        v4.new_code_cell("1/0", outputs=[v4.new_output("error", ename="E", evalue="v")]),
    ]
    nbformat.write(v4.new_notebook(cells=cells), path)
    exported = export(path, "html")
    assert exported.path == tmp_path / "theirs.html"
    assert "Hello" in exported.path.read_text()


def test_an_old_notebook_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "old.ipynb"
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {},
        "worksheets": [
            {
                "cells": [
                    {
                        "cell_type": "code",
                        "language": "python",
                        "input": "print(1)",
                        "outputs": [],
                        "metadata": {},
                        "collapsed": False,
                    }
                ]
            }
        ],
    }
    path.write_text(json.dumps(old))
    new = nbformat.read(export(path, "ipynb", tmp_path / "new.ipynb").path, 4)
    nbformat.validate(new)
    assert new.cells[0].source == "print(1)"


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "null", '{"nbformat": 4}', '{"cells": [], "nbformat": 99}', "\xff", "[" * 100_000]
)
def test_what_is_no_notebook_is_refused_in_words(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.ipynb"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(BadRequest, match=r"bad\.ipynb"):
        export(path, "html")


def test_what_is_not_there_and_what_cannot_be_is_refused(folder: SessionFolder, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        export(tmp_path / "none.ipynb", "html")
    with pytest.raises(BadRequest, match="docx"):
        export(folder, "docx")
    with pytest.raises(NotFound, match="no folder"):
        export(folder, "html", tmp_path / "none" / "x.html")


def run(*arguments: str) -> tuple[str, str]:
    app = typer.Typer()
    app.callback()(lambda: None)
    command.register(app)
    result = CliRunner().invoke(app, ["export", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_the_command_prints_the_path_and_tells_what_would_not_run(folder: SessionFolder) -> None:
    stdout, stderr = run(str(folder.path), "--to", "ipynb")
    assert stdout == f"{folder.notebook}\n"
    assert "cell 8: timed out and is kept as text" in stderr


def test_the_command_finds_a_session_by_name(
    folder: SessionFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data" / "sessions").mkdir(parents=True)
    folder.path.rename(tmp_path / "data" / "sessions" / "amber-wren")
    monkeypatch.setenv("CELL_GATEWAY_DATA", str(tmp_path / "data"))
    stdout, _ = run("amber", "--to", "html", "--json")
    found = json.loads(stdout)
    assert found["path"].endswith("/sessions/amber-wren/notebook.html")
    assert found["problems"][0].keys() == {"cell", "number", "text"}
