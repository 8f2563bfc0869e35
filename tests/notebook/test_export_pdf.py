"""The document: everything of a session is in it, and nothing that a kernel prints keeps it from being made."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pypdf import PdfReader

from kernel_gateway.errors import BadRequest
from kernel_gateway.notebook.export import export
from kernel_gateway.notebook.wrapping import wrapped
from kernel_gateway.session.folder import SessionFolder

from .journals import PNG, Script, display, stdout

Create = Callable[[Script], SessionFolder]


def printed(folder: SessionFolder, tmp_path: Path) -> str:
    pages = PdfReader(export(folder, "pdf", tmp_path / "x.pdf").path).pages
    return " ".join("\n".join(page.extract_text() for page in pages).split())


def test_prompts_words_code_outputs_and_files_are_in_the_document(
    small_session: Script, session_folder: Create, tmp_path: Path
) -> None:
    found = printed(session_folder(small_session), tmp_path)
    for expected in (
        "Draw the data.",
        "<b>more</b>",
        "I read the file first.",
        "'a,b'",
        "ZeroDivisionError",
        "chart.png",
    ):
        assert expected in found
    assert "timed out" in found


def test_tables_are_tables_and_pictures_are_pictures(script: Script, session_folder: Create, tmp_path: Path) -> None:
    table = "<table><thead><tr><th></th><th>rain</th></tr></thead><tbody><tr><th>0</th><td>17</td></tr></tbody></table>"
    script.run("df", display({"text/html": f"<style>td{{}}</style>{table}", "text/plain": "plain"}))
    script.run("plot()", display({"image/png": PNG}))
    path = export(session_folder(script), "pdf", tmp_path / "x.pdf").path
    pages = PdfReader(path).pages
    assert "rain" in pages[0].extract_text()
    assert "plain" not in pages[0].extract_text()
    assert len(pages[0].images) == 1


HARD = (
    "x" * 500,
    '# *_ $ ` \\ @a <b> #let x = 1 ] [ ``` ~~~ "',
    "\x00\x07\x1b[31m red \u202e \ud800 🎉 日本語 é",
    "```{=typst}\n#panic()\n```",
    "![x](/etc/passwd) ![y](http://127.0.0.1:9/a.png) $\\frac{1}{$ \\begin{x}",
)


def test_nothing_that_is_said_or_printed_breaks_it(script: Script, session_folder: Create, tmp_path: Path) -> None:
    for text in HARD:
        script.add("words", cell=f"w{len(script.records)}", text=text, model="m")
        script.add("prompt", cell=f"p{len(script.records)}", text=text, attachments=[])
        script.run(text, stdout(text), display({"text/html": f"<table><tr><td>{text}"}), display({"text/latex": text}))
    assert "x" * 50 in printed(session_folder(script), tmp_path)


def test_a_picture_that_is_none_is_said_so(script: Script, session_folder: Create, tmp_path: Path) -> None:
    broken = base64.b64encode(base64.b64decode(PNG)[:40]).decode()
    script.run("plot()", display({"image/png": broken}), display({"image/png": PNG}))
    exported = export(session_folder(script), "pdf", tmp_path / "x.pdf")
    assert exported.notices == ["A picture could not be shown in the PDF; the notebook has it."]
    assert len(PdfReader(exported.path).pages[0].images) == 1


def test_without_the_extra_it_names_it(
    script: Script, session_folder: Create, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(BadRequest, match=r"cell-gateway\[pdf\]") as raised:
        export(session_folder(script), "pdf", tmp_path / "x.pdf")
    assert raised.value.exit_code == 2
    assert not list(tmp_path.glob("*.pdf"))


def test_long_lines_are_continued_and_wide_letters_count_twice() -> None:
    assert wrapped("a" * 25, 20).split("\n") == ["a" * 20, "↪ " + "a" * 5]
    assert wrapped("日" * 12, 20).split("\n") == ["日" * 10, "↪ " + "日" * 2]
