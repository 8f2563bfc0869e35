"""What code asks of the network is put to whoever has JupyterLab open. The hosts do not exist, so a yes gives 502."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, WebSocket, expect

from kernel_gateway.server.lab.approvals import shown
from kernel_gateway.session.folder import SessionFolder
from tests.lab.conftest import TOKEN, LabServer

CURL = "import subprocess\nprint(subprocess.getoutput(\"curl -s -w '%{{http_code}}' http://{}/x\"))"
# Markup, and a character that turns what follows around.
HOSTILE = "# <b id=owned>bold</b>\u202e\n"
Asking = Callable[[str], "Future[dict[str, Any]]"]


@pytest.fixture(scope="module")
def asking(lab: LabServer) -> Iterator[Asking]:
    """Lets a cell of the session ``ask`` ask for a host; gives what becomes of the cell."""
    lab.new("ask", egress="ask")
    with ThreadPoolExecutor() as pool:
        yield lambda host: pool.submit(lab.run, "ask", HOSTILE + CURL.format(host))


@pytest.fixture
def second_page(browser: Browser, lab: LabServer) -> Iterator[Page]:
    with browser.new_context(color_scheme="dark") as context:
        context.request.get(f"{lab.url}/api/status", params={"token": TOKEN})
        yield context.new_page()


def attend(page: Page, lab: LabServer) -> None:
    """Return when this page is one whom the session's questions reach."""
    told: list[str] = []

    def on_socket(socket: WebSocket) -> None:
        if socket.url.endswith("/cell-gateway/attend"):
            socket.on("framereceived", lambda frame: told.append(str(frame)))

    page.on("websocket", on_socket)
    page.goto(f"{lab.url}/lab?reset")
    page.locator(".jp-Launcher").wait_for(timeout=60_000)
    while not any('"ask"' in frame for frame in told):
        page.wait_for_timeout(50)


def dialog(page: Page) -> Any:
    found = page.get_by_role("alertdialog")
    found.wait_for(timeout=60_000)
    return found


def said(cell: Future[dict[str, Any]]) -> str:
    return str(cell.result(60)["outputs"][0]["text"]).strip()


def answers(lab: LabServer, host: str) -> list[tuple[str, str]]:
    """What the audit says of who said what about a host."""
    lines = lab.ask("GET", "/api/gateway/sessions/ask/audit").json()["requests"]
    return [(line["event"], line.get("by", "")) for line in lines if line["host"] == host and "event" in line]


def owner(lab: LabServer) -> str:
    return str(SessionFolder(lab.data / "sessions" / "ask").read()["owner"])


def test_every_page_asks_and_one_yes_lets_the_request_through(
    lab: LabServer, asking: Asking, page: Page, second_page: Page
) -> None:
    for each in (page, second_page):
        attend(each, lab)
    cell = asking("one.invalid")
    question, other = dialog(page), dialog(second_page)
    expect(question).to_contain_text("Allow one.invalid?")
    expect(question).to_contain_text("In the session ask, cell 1 wants to reach it (a cell of the model):")
    expect(question).to_contain_text("It asks for: GET /x")
    expect(question.locator("pre")).to_contain_text("<b id=owned>bold</b>\\u202e")
    assert page.locator("#owned").count() == 0
    expect(question.get_by_role("button", name="Deny")).to_be_focused()
    other.get_by_role("button", name="Allow for this session").click()
    expect(question).to_have_count(0)
    expect(other).to_have_count(0)
    assert said(cell).endswith("502")
    assert answers(lab, "one.invalid") == [("allowed", owner(lab))]


def test_escape_is_a_no_and_an_answer_from_elsewhere_closes_the_dialog(
    lab: LabServer, asking: Asking, page: Page
) -> None:
    attend(page, lab)
    cell = asking("two.invalid")
    expect(dialog(page).get_by_role("button", name="Deny")).to_be_focused()
    page.keyboard.press("Escape")
    assert "did not allow" in said(cell)
    assert answers(lab, "two.invalid") == [("denied", owner(lab))]
    cell = asking("three.invalid")
    dialog(page)
    # The second question of this session's supervisor was the last one.
    lab.ask("POST", "/api/gateway/sessions/ask/questions/3", json={"allow": True})
    expect(page.get_by_role("alertdialog")).to_have_count(0)
    assert said(cell).endswith("502")


def test_a_closed_browser_means_no(lab: LabServer, asking: Asking, page: Page) -> None:
    attend(page, lab)
    cell = asking("four.invalid")
    dialog(page)
    page.close()
    assert "no person allowed it" in said(cell)
    assert answers(lab, "four.invalid") == [("not answered", "")]


def test_a_page_that_is_loaded_again_is_asked_again_and_typing_answers_nothing(
    lab: LabServer, asking: Asking, page: Page
) -> None:
    attend(page, lab)
    cell = asking("five.invalid")
    dialog(page)
    page.reload()
    question = dialog(page)
    # At once, as somebody would who was writing.
    page.keyboard.type("x = 1\n")
    expect(question.get_by_role("button", name="Deny")).to_be_focused()
    assert not cell.done()
    page.keyboard.press("Enter")
    assert "did not allow" in said(cell)


def test_what_code_chose_is_shown_without_control_characters(lab: LabServer, asking: Asking) -> None:
    event = {"question": 7, "as": "gateway", "seconds": 60, "host": "a\u202eb", "method": "GET", "path": "/\x1b[2J\n"}
    found = shown(SessionFolder(lab.data / "sessions" / "ask"), event)
    assert (found["host"], found["path"]) == ("a\\u202eb", "/\\x1b[2J\\n")


@pytest.mark.parametrize(("origin", "status"), [(None, 101), ("https://elsewhere.example", 403)])
def test_only_pages_of_this_server_attend(lab: LabServer, origin: str | None, status: int) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    headers = {**upgrade, "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Origin": origin or lab.url}
    with httpx.Client(base_url=lab.url, trust_env=False) as client:
        assert client.get("/cell-gateway/attend", headers=headers).status_code == 403
        # The cookie of somebody who is signed in, as a browser sends it along for whatever page asks.
        client.get("/api/status", params={"token": TOKEN})
        with client.stream("GET", "/cell-gateway/attend", headers=headers) as answer:
            assert answer.status_code == status
