"""The sessions page in a tab of JupyterLab."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.lab.conftest import LabServer, cells, wait_until_ready


@pytest.fixture(scope="module")
def tides(lab: LabServer) -> str:
    return lab.new("tides", "level = 41\nprint(level + 1)")


@pytest.mark.parametrize(("theme", "scheme"), [("JupyterLab Light", "light"), ("JupyterLab Dark", "dark")])
def test_a_card_opens_all_sessions_in_the_theme_of_lab(
    lab: LabServer, tides: str, page: Page, theme: str, scheme: str
) -> None:
    page.goto(f"{lab.url}/lab?reset")
    card = page.locator(".jp-LauncherCard", has_text="Sessions")
    card.wait_for(timeout=60_000)
    page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
    expect(page.locator(f"body[data-jp-theme-name='{theme}']")).to_have_count(1)
    card.click()
    inside = page.frame_locator("iframe[title=Sessions]")
    expect(inside.locator("#s-tides")).to_contain_text("1 cell · ")
    assert inside.locator("body").evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches") == (
        scheme == "dark"
    )


def test_open_on_a_card_shows_the_notebook_in_the_same_lab(lab: LabServer, tides: str, page: Page) -> None:
    page.goto(f"{lab.url}/lab?reset")
    page.locator(".jp-LauncherCard", has_text="Sessions").click(timeout=60_000)
    page.frame_locator("iframe[title=Sessions]").locator("#s-tides h2 a").click()
    page.locator(".jp-NotebookPanel").wait_for()
    wait_until_ready(page)
    assert "42\n" in [output.get("text") for cell in cells(page) for output in cell.get("outputs", [])]
    assert page.locator(".jp-Dialog").count() == 0


def test_a_session_is_exported_from_its_notebook(lab: LabServer, tides: str, page: Page) -> None:
    page.goto(f"{lab.url}/lab/workspaces/tides/tree/tides/notebook.ipynb")
    wait_until_ready(page)
    page.evaluate("void window.jupyterapp.commands.execute('cell-gateway:export')")
    page.locator(".jp-Dialog select").select_option(label="Script (.py)")
    with page.expect_download() as download:
        page.locator(".jp-Dialog").get_by_role("button", name="Export").click()
    assert download.value.suggested_filename == "tides.py"
