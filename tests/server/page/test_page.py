"""The page in a real browser."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.server.rest.conftest import TOKEN, Server

PLOT = "# A wave\nimport matplotlib.pyplot as plt\nplt.plot([1, 3, 2]); plt.show()"


@pytest.fixture(scope="module")
def amber(server: Server) -> str:
    session = server.new("amber")
    server.run(session, PLOT)
    return session


def test_without_sessions_it_says_what_to_do(page: Page) -> None:
    expect(page.get_by_text("cell-gateway demo")).to_be_visible()


def test_a_session_appears_by_itself_with_its_last_picture(page: Page, server: Server) -> None:
    server.run(server.new("birch"), PLOT)
    card = page.locator("#s-birch")
    expect(card.get_by_role("heading")).to_have_text("A wave")
    expect(card).to_contain_text("1 cell · ")
    assert card.locator("img").evaluate("async image => { await image.decode(); return image.naturalWidth }") > 0


def test_stop_and_resume_bring_variables_back_and_tell_the_cost(page: Page, server: Server, amber: str) -> None:
    card = page.locator("#s-amber")
    card.get_by_role("button", name="Stop").click()
    page.locator("dialog").get_by_role("button", name="Stop").click()
    expect(card.locator(".state")).to_have_text("Stopped")
    card.get_by_role("button", name="Resume").click()
    expect(page.locator("dialog")).to_contain_text("1 cell run again; that took")
    page.get_by_role("button", name="Bring variables back").click()
    expect(card.locator(".state")).to_have_text("Ready", timeout=30_000)
    assert server.run(amber, "print(plt.__name__)")["exit"] == "ok"


def test_a_session_is_deleted_only_when_that_is_confirmed(page: Page, server: Server) -> None:
    server.new("cedar")
    card = page.locator("#s-cedar")
    for answer, there in (("Keep it", 1), ("Delete", 0)):
        card.locator("summary").click()
        card.get_by_role("button", name="Delete…").click()
        page.locator("dialog").get_by_role("button", name=answer, exact=True).click()
        expect(card).to_have_count(there)


def test_the_network_is_cut_off_and_the_audit_says_so(page: Page, amber: str) -> None:
    card = page.locator("#s-amber")
    card.locator("summary").click()
    card.get_by_role("button", name="Cut off its network").click()
    expect(card).to_contain_text("cut off")
    card.locator("summary").click()
    card.get_by_role("link", name="Network audit").click()
    expect(page.get_by_role("cell", name="cut", exact=True)).to_be_visible()


def test_the_export_menu_gives_a_notebook(page: Page, amber: str) -> None:
    page.locator("#s-amber summary").click()
    with page.expect_download() as download:
        page.locator("#s-amber").get_by_role("link", name="Notebook").click()
    assert download.value.suggested_filename == "amber.ipynb"


def test_opening_shows_the_notebook_and_runs_none_of_its_script(page: Page, server: Server, amber: str) -> None:
    server.run(amber, "from IPython.display import HTML\nHTML('<script>document.title=\"owned\"</script><b>bold</b>')")
    page.locator("#s-amber").get_by_role("link", name="Open").first.click()
    page.wait_for_url("**/export?*")
    assert page.title() != "owned"


@pytest.mark.parametrize(("answer", "outcome"), [("Deny", "did not allow"), ("Allow for this session", "502")])
def test_a_question_of_the_network_is_answered_here(page: Page, server: Server, answer: str, outcome: str) -> None:
    """The host does not exist, so a yes gives 502."""
    session = server.new(f"ask-{answer[0].lower()}", egress="ask")
    page.locator(f"#s-{session.rpartition('/')[2]}").wait_for()
    server.run(session, "pass")
    # The page attends to a session that has just come to life after its next look.
    code = "import subprocess, time\ntime.sleep(4)\nprint(subprocess.getoutput(\"curl -s -w '%{http_code}' http://nowhere.invalid/x\"))"
    with ThreadPoolExecutor() as pool:
        running = pool.submit(server.run, session, code)
        question = page.get_by_role("alertdialog")
        expect(question).to_contain_text("wants to reach nowhere.invalid", timeout=30_000)
        expect(question.get_by_role("button", name="Deny")).to_be_focused()
        question.get_by_role("button", name=answer).click()
        expect(question).to_have_count(0)
        assert outcome in running.result()["outputs"][0]["text"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(browser: Browser, server: Server, amber: str, scheme: str) -> None:
    options = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}
    with browser.new_context(**options) as context:  # pyright: ignore[reportArgumentType]
        page = context.new_page()
        page.goto(f"{server.url}/cell-gateway?token={TOKEN}")
        page.locator("#s-amber summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        expect(page.locator("#s-amber .sheet")).to_be_in_viewport(ratio=1)


def test_it_is_used_by_keyboard_alone(page: Page, amber: str) -> None:
    page.keyboard.press("/")
    page.keyboard.type("no such session")
    expect(page.get_by_text("No session matches.")).to_be_visible()
    page.get_by_role("searchbox").fill("wave amber")
    page.locator("#s-amber summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#s-amber .sheet")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#s-amber .sheet")).to_be_hidden()
    expect(page.locator("#s-amber summary")).to_be_focused()
