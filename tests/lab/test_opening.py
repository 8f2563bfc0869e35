"""A session opens in JupyterLab as it is: its cells, its kernel, its chat, and nothing that asks or covers."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.lab.conftest import TOKEN, LabServer, cells, kernel_of, open_notebook

COVERING = ".jp-Dialog, .Toastify__toast"


@pytest.fixture(scope="module")
def tides(lab: LabServer) -> str:
    """A session that another front end made."""
    lab.command("run", "--name", "tides", "-", text="level = 41\nprint(level + 1)")
    return "tides"


def test_a_session_with_cells_opens_attached_to_its_kernel_and_asks_nothing(
    lab: LabServer, page: Page, tides: str
) -> None:
    open_notebook(page, lab, tides)
    outputs = [output for cell in cells(page) for output in cell.get("outputs", [])]
    assert "42\n" in [output.get("text") for output in outputs]
    row = next(row for row in lab.ask("GET", "/api/sessions").json() if row["path"] == "tides/notebook.ipynb")
    assert kernel_of(page) == row["kernel"]["id"]
    assert page.locator(COVERING).count() == 0


def test_from_the_sessions_page_its_notebook_and_chat_open_side_by_side(lab: LabServer, page: Page, tides: str) -> None:
    page.goto(f"{lab.url}/cell-gateway?token={TOKEN}")
    page.get_by_text("Open in JupyterLab").first.click()
    page.locator(".jp-chat-input-container textarea").first.wait_for()
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    notebook, chat = (page.locator(name).bounding_box() for name in (".jp-NotebookPanel", ".jp-chat-input-container"))
    assert notebook is not None and chat is not None and notebook["x"] + notebook["width"] <= chat["x"]
    assert page.locator(COVERING).count() == 0


def test_what_a_person_arranged_is_kept(lab: LabServer, page: Page, tides: str) -> None:
    lab.ask("GET", f"/cell-gateway/lab/{tides}")
    name = f"cell-gateway-{tides}"
    arranged = lab.ask("GET", f"/lab/api/workspaces/{name}").json()
    arranged["data"]["mine"] = {"data": 1}
    assert lab.ask("PUT", f"/lab/api/workspaces/{name}", json=arranged).status_code == 204
    assert lab.ask("GET", f"/cell-gateway/lab/{tides}").headers["Location"] == f"/lab/workspaces/{name}"
    assert "mine" in lab.ask("GET", f"/lab/api/workspaces/{name}").json()["data"]


def test_a_second_command_opens_the_server_that_there_is(lab: LabServer, tides: str) -> None:
    said = lab.said("lab", "tid", "--no-browser")
    assert said.splitlines()[-1] == f"JupyterLab: {lab.url}/cell-gateway/lab/tides?token={TOKEN}"


def test_nothing_is_kept_outside_the_folder_of_the_server(lab: LabServer, tides: str) -> None:
    kept = {path.name for path in (lab.data / "server" / "lab").iterdir()}
    assert {"documents.sqlite", "files.sqlite", "workspaces"} <= kept
    assert sorted(path.name for path in (lab.data / "sessions").iterdir()) == [tides]
    assert not list((lab.place / "DATA").glob("*")) and not (lab.place / "CONFIG" / "lab").exists()
