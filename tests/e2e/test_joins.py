"""Seed task: explore an SQLite database and draw its joins into a PDF."""

from __future__ import annotations

import base64

import nbformat
from pypdf import PdfReader

from . import joins
from .person import Played
from .rerun import pngs


def test_the_pdf_has_a_page_and_names_all_tables_and_keys(explored: Played) -> None:
    (page, *_) = PdfReader(explored.folder.workspace / "join_diagram.pdf").pages
    words = page.extract_text()
    assert [name for name in joins.TABLES if name not in words] == []
    assert "11 foreign keys" in words


def test_the_model_sees_the_diagram_as_a_png(explored: Played) -> None:
    pictures = [b for b in explored.tool_results()["toolu_draw"]["content"] if b["type"] == "image"]
    assert [p["source"]["media_type"] for p in pictures] == ["image/png"]
    assert base64.b64decode(pictures[0]["source"]["data"]).startswith(b"\x89PNG")


def test_the_picture_that_the_model_sees_is_not_larger_than_it_can_use(explored: Played) -> None:
    (picture,) = (b for b in explored.tool_results()["toolu_draw"]["content"] if b["type"] == "image")
    data = base64.b64decode(picture["source"]["data"])
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    assert max(width, height) <= 1568


def test_the_notebook_validates(explored: Played) -> None:
    nbformat.validate(nbformat.read(explored.folder.notebook, as_version=4), relax_add_props=False)


def test_the_notebook_holds_the_prompt_and_every_word(explored: Played) -> None:
    written = "\n".join(explored.sources)
    assert joins.PROMPT in written
    said = [b["text"] for reply in joins.REPLIES for b in reply if b["type"] == "text"]
    assert [words for words in said if words not in written] == []


def test_the_notebook_holds_every_cell(explored: Played) -> None:
    for source in (joins.LOOK, joins.KEYS, joins.ORPHANS, joins.DRAW):
        assert source in explored.sources


def test_the_notebook_holds_every_output(explored: Played) -> None:
    shown = "\n".join(str(cell["outputs"]) for cell in explored.cells if cell["cell_type"] == "code")
    for output in ("InvoiceLine      2,240 rows", "SupportRepId", "0 rows without a partner", "%PDF-"):
        assert output in shown


def test_the_notebook_holds_the_picture_and_so_does_the_folder(explored: Played) -> None:
    (picture,) = pngs(explored.notebook)
    (file,) = explored.folder.pictures.iterdir()
    assert file.read_bytes() == picture


def test_the_pdf_is_presented_as_a_link(explored: Played) -> None:
    assert any("](workspace/join_diagram.pdf)" in source for source in explored.sources)
    assert f"→ {explored.folder.workspace}/join_diagram.pdf" in explored.asked[0].err


def test_the_input_is_recorded_with_its_hash(explored: Played) -> None:
    (recorded,) = explored.notebook["metadata"]["kernel_gateway"]["inputs"]
    assert recorded["path"] == "chinook.sqlite"
    assert recorded["sha256"].startswith("7651ba37")


def test_the_end_says_where_the_notebook_is(explored: Played) -> None:
    assert f"Notebook: {explored.folder.notebook}" in explored.asked[0].err
