"""A cell that begins with %%ask asks the model, and the notebook shows what comes of it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from kernel_gateway.scripted_model import Refusal, Scripted, text, tool_use
from tests.lab.conftest import LabServer, cells, open_notebook
from tests.lab.test_live import agree, cell_of, records, run, text_of, until, write

ENDLESS = "import time\nfor n in range(600):\n    print('step', n, flush=True)\n    time.sleep(.1)"
REPLIES: list[Any] = [
    Scripted([text("I double it."), tool_use("toolu_1", "python", code="print(x * 2)")]),
    Scripted([text("It is 84.")]),
    Scripted([text("I count for long."), tool_use("toolu_2", "python", code=ENDLESS)]),
    Refusal(401, "authentication_error", "invalid x-api-key"),
]


def kinds(found: list[dict[str, Any]]) -> list[str]:
    """What each cell is, from the first prompt on."""
    shown = [c["metadata"].get("kernel_gateway", {}).get("kind") or c["cell_type"] for c in found]
    return shown[shown.index("prompt") :] if "prompt" in shown else []


def test_a_prompt_becomes_a_cell_and_the_models_cells_run_below_it(lab: LabServer, page: Page) -> None:
    lab.new("asked", "x = 42")
    open_notebook(page, lab, "asked")
    asking = run(page, "%%ask\nWhat is twice x?")
    found = until(page, lambda found: kinds(found) == ["prompt", "words", "code", "words"], "the answer is there")
    assert asking not in [cell["id"] for cell in found]
    assert "What is twice x?" in next(c["source"] for c in found if "twice" in c["source"])
    assert (text_of(found[-2]), found[-1]["source"]) == ("84\n", "It is 84.")
    agree(page, lab, "asked")


def test_the_stop_button_stops_the_model_and_its_cell(lab: LabServer, page: Page) -> None:
    lab.new("stopped", "x = 1")
    open_notebook(page, lab, "stopped")
    run(page, "%%ask\nCount.")
    until(page, lambda found: "step 2" in text_of(found[-1]), "the model's cell runs")
    page.evaluate("window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
    until(page, lambda found: "interrupted" in found[-1]["source"], "it ended")
    agree(page, lab, "stopped")
    assert records(lab, "stopped", "turn")[-1]["stop_reason"] == "interrupted"


def test_what_hinders_the_model_is_told_where_it_was_asked(lab: LabServer, page: Page) -> None:
    lab.new("refused", "x = 1")
    open_notebook(page, lab, "refused")
    run(page, "%%ask\nAnything?")
    found = until(page, lambda found: "**Note:**" in found[-1]["source"], "it is told")
    assert "key" in found[-1]["source"]
    empty = write(page, "%%ask")
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-cell')")
    until(page, lambda found: any("question" in text_of(c) for c in found if c["id"] == empty), "an empty one is told")
    assert cell_of(page, empty)["cell_type"] == "code"
    assert len(cells(page)) > 0
