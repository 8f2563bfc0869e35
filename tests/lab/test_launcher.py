"""The sessions page in a tab of JupyterLab."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.lab.conftest import LabServer, cells, wait_until_ready


@pytest.fixture(scope="module")
def tides(lab: LabServer) -> str:
    return lab.new("tides", "level = 41\nprint(level + 1)")


def test_a_card_opens_all_sessions_in_the_theme_of_lab(lab: LabServer, tides: str, page: Page) -> None:
    # Else Playwright tells all frames the same.
    page.emulate_media(color_scheme="null")
    page.goto(f"{lab.url}/lab?reset")
    page.locator(".jp-LauncherCard", has_text="Sessions").click(timeout=60_000)
    inside = page.frame_locator("iframe[title=Sessions]")
    expect(inside.locator("#s-tides")).to_contain_text("1 cell · ", timeout=30_000)
    is_dark = "() => matchMedia('(prefers-color-scheme: dark)').matches"
    assert not inside.locator("body").evaluate(is_dark)
    # A dark theme on a light desktop, as Lab marks one.
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    page.wait_for_function(
        "document.querySelector('iframe[title=Sessions]').contentWindow.matchMedia('(prefers-color-scheme: dark)').matches"
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
