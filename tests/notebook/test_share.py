"""The share page: nothing of a session goes missing in it, its files come out of it whole, nothing in it acts or asks the network."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from kernel_gateway.errors import BadRequest
from kernel_gateway.notebook.outputs import sequence
from kernel_gateway.notebook.share import share
from kernel_gateway.session.folder import SessionFolder
from tests import debian

from .journals import Script, display, stdout

Create = Callable[[Script], SessionFolder]
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
MARK = "window.top.hostile=1;document.title='hostile'"
HOSTILE = (
    f"<table><tr><td>kept</td></tr></table><script>{MARK};fetch('http://127.0.0.1:9/a')</script><img src=x onerror=\"{MARK}\">"
    f'<svg onload="{MARK}"><script>{MARK}</script></svg><a id=link href="javascript:{MARK}">press</a>'
    '<img src="http://127.0.0.1:9/b"><iframe src="http://127.0.0.1:9/c"></iframe><link rel=stylesheet href="http://127.0.0.1:9/d">'
    '<style>@import "http://127.0.0.1:9/e"; body{background:url(http://127.0.0.1:9/f)}</style>'
    '<meta http-equiv=refresh content="0;url=http://127.0.0.1:9/g"></iframe></script>'
)


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    problem = "" if chromium() else debian.install("chromium")
    if (found := chromium()) is None:
        pytest.skip(f"needs Chromium: apt-get install chromium; {problem}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def session(small_session: Script, session_folder: Create) -> SessionFolder:
    """The small session with its files: one given, one made, one that no record names, a long output."""
    small_session.run("print(1)", stdout("a long output\n"), cell="long")
    folder = session_folder(small_session)
    for name, content in (("data.csv", b"a,b\n1,2\n"), ("chart.png", b"made"), ("notes/own.txt", b"by hand")):
        (folder.workspace / name).parent.mkdir(exist_ok=True)
        (folder.workspace / name).write_bytes(content)
    (folder.outputs / "long.txt").write_bytes(b"the whole")
    return folder


def shared(folder: SessionFolder, tmp_path: Path, **options: Any) -> str:
    return share(folder, tmp_path / "page.html", **options).path.read_text()


def downloads(markup: str) -> dict[str, bytes]:
    """The files in the page by the text of their link, each of the hash that stands below it."""
    rows = re.findall(r'<li id="file-[^"]*">(.*?)</li>', markup, re.S)
    found: dict[str, bytes] = {}
    for row in rows:
        if link := re.search(r'href="data:application/octet-stream;base64,([^"]*)" download="[^"]*">([^<]*)</a>', row):
            content = base64.b64decode(link[1])
            assert hashlib.sha256(content).hexdigest() in row
            found[html.unescape(link[2])] = content
    return found


def test_every_file_is_in_the_page_with_its_hash(session: SessionFolder, tmp_path: Path) -> None:
    found = downloads(shared(session, tmp_path))
    assert found.pop("amber-wren.ipynb").startswith(b"{")
    assert found == {
        "data.csv": b"a,b\n1,2\n",
        "chart.png": b"made",
        "notes/own.txt": b"by hand",
        "long.txt": b"the whole",
    }


def test_every_cell_and_every_output_is_in_the_page(session: SessionFolder, tmp_path: Path) -> None:
    from kernel_gateway.notebook.opening import open_source

    notebook = open_source(session).notebook
    markup = shared(session, tmp_path)
    # The line above a setup cell is one with it.
    alone = [c for c in notebook["cells"] if c["metadata"]["kernel_gateway"].get("kind") != "setup"]
    assert len(re.findall(r'id="cell-\d+"', markup)) == len(alone)
    outputs = sum(len(sequence(c.get("outputs"))) for c in notebook["cells"])
    assert markup.count('<div class="output">') == outputs > 3


def test_words_link_the_file_in_the_page(session: SessionFolder, tmp_path: Path) -> None:
    markup = shared(session, tmp_path)
    anchor = re.search(r'<a href="#(file-\d+)">chart\.png</a>', markup)
    assert anchor
    assert f'<li id="{anchor[1]}">' in markup


def test_a_file_over_the_limit_is_named_and_costs_no_other_its_place(session: SessionFolder, tmp_path: Path) -> None:
    (session.workspace / "huge.bin").write_bytes(b"x" * 2000)
    done = share(session, tmp_path / "page.html", limit=1000)
    markup = done.path.read_text()
    assert "huge.bin" in markup
    assert hashlib.sha256(b"x" * 2000).hexdigest() in markup
    assert "huge.bin" not in downloads(markup)
    assert "data.csv" in downloads(markup)
    assert any("huge.bin" in n and "Too large" in n for n in done.notices)


def test_a_file_that_went_away_or_changed_is_said_so_and_no_link_is_followed(
    session: SessionFolder, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (session.workspace / "data.csv").unlink()
    (session.workspace / "link.txt").symlink_to(tmp_path / "secret")
    markup = shared(session, tmp_path)
    assert "It is not there any more." in markup
    assert "It has changed since it was recorded" in markup
    assert "link.txt" not in markup


def test_what_no_browser_shows_is_there_all_the_same(script: Script, session_folder: Create, tmp_path: Path) -> None:
    script.run("fig", display({"application/vnd.plotly.v1+json": {"data": [{"y": [17, 42]}]}, "text/plain": "Figure"}))
    script.run("doc", display({"application/pdf": base64.b64encode(b"%PDF").decode()}))
    markup = shared(session_folder(script), tmp_path)
    assert "42" in markup
    assert base64.b64encode(b"%PDF").decode() in markup


def test_a_share_is_named_like_a_page(session: SessionFolder, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"not named like one"):
        share(session, tmp_path / "page.pdf")


def opened(browser: Browser, path: Path, **context: Any) -> tuple[Page, list[str]]:
    page = browser.new_context(**context).new_page()
    requests: list[str] = []
    page.on("request", lambda r: requests.append(r.url))
    page.goto(path.as_uri())
    page.wait_for_load_state("load")
    return page, requests


def test_nothing_hostile_runs_and_nobody_is_asked(
    browser: Browser, script: Script, session_folder: Create, tmp_path: Path
) -> None:
    script.add("prompt", cell="p", text=HOSTILE, attachments=[])
    script.add(
        "words", cell="w", text=f"{HOSTILE}\n\n[y](javascript:{MARK}) ![z](http://127.0.0.1:9/z.png)", model=HOSTILE
    )
    for mime in ("text/html", "image/svg+xml", "text/markdown", "text/plain", "application/x-other"):
        script.run(HOSTILE, display({mime: HOSTILE}))
    folder = session_folder(script)
    (folder.workspace / '"><img src=x onerror=alert(1)>.html').write_text(HOSTILE)
    page, requests = opened(browser, share(folder, tmp_path / "page.html").path)
    for frame in page.frames[1:]:
        if frame.locator("#link").count():
            frame.locator("#link").dispatch_event("click")
    page.wait_for_function("document.querySelectorAll('iframe').length > 0")
    assert page.evaluate("window.hostile") is None
    assert page.title() != "hostile"
    assert requests == [(tmp_path / "page.html").as_uri()]


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_file_is_saved_from_the_page_without_a_server(
    browser: Browser, session: SessionFolder, tmp_path: Path, size: int
) -> None:
    (session.workspace / "notes" / "own.txt").write_bytes(b"x" * size)
    page, _ = opened(browser, share(session, tmp_path / "page.html").path)
    with page.expect_download() as download:
        page.get_by_role("link", name="notes/own.txt").press("Enter")
    assert download.value.suggested_filename == "own.txt"
    assert download.value.path().read_bytes() == b"x" * size


def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Browser, session: SessionFolder, tmp_path: Path) -> None:
    path = share(session, tmp_path / "page.html").path
    page, _ = opened(browser, path, viewport={"width": 360, "height": 740}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 21)"


def test_the_code_can_be_hidden_with_the_keyboard(browser: Browser, session: SessionFolder, tmp_path: Path) -> None:
    page, _ = opened(browser, share(session, tmp_path / "page.html").path)
    code = page.get_by_text("open('data.csv')")
    assert code.is_visible()
    page.get_by_label("Hide the code").press("Space")
    assert not code.is_visible()
    assert page.get_by_text("'a,b'").is_visible()
