"""The notebook of a session that is stopped, and the button that stops the model."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from kernel_gateway.scripted_model import Scripted, text, tool_use
from tests.lab.conftest import TOKEN, LabServer, cells, open_notebook, wait_until_ready

REPLIES = [Scripted([text("I wait."), tool_use("toolu_1", "python", code="import time\nwhile True: time.sleep(0.1)")])]

# In a workspace of its own, where nothing that an earlier test had open comes back.
ALONE = "/lab/workspaces/{0}/tree/{0}/notebook.ipynb"


@pytest.fixture
def stopped(lab: LabServer, page: Page, request: pytest.FixtureRequest) -> str:
    """A session whose notebook is open and that does not run."""
    name = lab.new(request.node.name.replace("_", "-")[:40].strip("-"), "level = 41", "print(level + 1)")
    lab.ask("POST", f"/api/gateway/sessions/{name}/stop", json={})
    page.goto(f"{lab.url}{ALONE.format(name)}")
    return name


def bar(page: Page) -> Locator:
    found = page.get_by_role("region", name="This session is stopped")
    found.wait_for(timeout=60_000)
    return found


def state(lab: LabServer, session: str) -> str:
    return str(lab.ask("GET", f"/api/gateway/sessions/{session}").json()["state"])


def kernel_status(page: Page) -> Any:
    return page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status ?? null")


def test_it_opens_readable_starts_nothing_and_says_what_bringing_back_runs(
    lab: LabServer, page: Page, stopped: str
) -> None:
    expect(bar(page)).to_contain_text("Bring variables back (2 cells, under 1 s)")
    page.wait_for_function("window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells.length > 1")
    assert "42\n" in [output.get("text") for cell in cells(page) for output in cell.get("outputs", [])]
    assert state(lab, stopped) == "stopped"
    assert page.locator(".jp-Dialog").count() == 0


def test_its_variables_come_back_and_the_notebook_is_attached(lab: LabServer, page: Page, stopped: str) -> None:
    bar(page).get_by_role("button", name="Bring variables back").click()
    wait_until_ready(page)
    expect(page.get_by_role("region", name="This session is stopped")).to_have_count(0)
    assert lab.run(stopped, "print(level)")["outputs"][0]["text"] == "41\n"
    # One binding, whoever made it.
    assert [row["path"] for row in lab.ask("GET", "/api/sessions").json()].count(f"{stopped}/notebook.ipynb") == 1
    # Stopped elsewhere while it is open: nothing asks, and it can come back once more.
    lab.ask("POST", f"/api/gateway/sessions/{stopped}/stop", json={})
    bar(page).get_by_role("button", name="Start without them").click()
    wait_until_ready(page)
    assert page.locator(".jp-Dialog").count() == 0
    assert lab.run(stopped, "print(level)")["exit"] == "error"


def test_a_person_who_runs_a_cell_starts_it(lab: LabServer, page: Page, stopped: str) -> None:
    bar(page).get_by_role("button", name="Not now").click()
    expect(page.get_by_role("region", name="This session is stopped")).to_have_count(0)
    page.evaluate(
        "() => { const nb = window.jupyterapp.shell.currentWidget.content; nb.activeCellIndex = nb.model.cells.length - 1;"
        " void window.jupyterapp.commands.execute('notebook:run-cell') }"
    )
    wait_until_ready(page)
    assert lab.run(stopped, "print(level)")["outputs"][0]["text"] == "41\n"


def test_the_model_is_stopped_by_a_button_that_is_there_while_it_works(lab: LabServer, page: Page) -> None:
    name = lab.new("busy", "x = 1")
    open_notebook(page, lab, name, ALONE)
    button = page.get_by_role("button", name="Stop the model")
    expect(button).to_have_count(0)
    page.evaluate(
        """([url, token]) => { fetch(url, { method: "POST", headers: { Authorization: `token ${token}` },
            body: JSON.stringify({ prompt: "Wait." }) }) }""",
        [f"{lab.url}/api/gateway/sessions/{name}/turns", TOKEN],
    )
    button.click(timeout=30_000)
    expect(button).to_have_count(0, timeout=30_000)
    ran = lab.ask("GET", f"/api/gateway/sessions/{name}").json()["cell_list"][-1]
    assert ran["exit"] == "interrupted"
