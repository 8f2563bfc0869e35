"""A session opens in JupyterLab as it is: its cells, its kernel, and nothing that asks or covers."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.lab.conftest import LabServer, cells, kernel_of, open_notebook

COVERING = ".jp-Dialog, .Toastify__toast"


def test_a_session_with_cells_opens_attached_to_its_kernel_and_asks_nothing(lab: LabServer, page: Page) -> None:
    lab.command("run", "--name", "tides", "-", text="level = 41\nprint(level + 1)")
    open_notebook(page, lab, "tides")
    outputs = [output for cell in cells(page) for output in cell.get("outputs", [])]
    assert "42\n" in [output.get("text") for output in outputs]
    row = next(row for row in lab.ask("GET", "/api/sessions").json() if row["path"] == "tides/notebook.ipynb")
    assert kernel_of(page) == row["kernel"]["id"]
    assert page.locator(COVERING).count() == 0
