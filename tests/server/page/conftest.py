from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.server.rest.conftest import TOKEN, Server, chromium, server

__all__ = ["chromium", "server"]
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
).split()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


def is_wrong(message: ConsoleMessage) -> bool:
    """A sandboxed document that refuses a script does what it is for."""
    return message.type in ("error", "warning") and not message.text.startswith("Blocked script execution")


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The sessions page; whatever it says on its console, or asks of elsewhere, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    page, wrong = context.new_page(), list[str]()
    page.on("console", lambda message: wrong.append(message.text) if is_wrong(message) else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(server.url) else wrong.append(request.url))
    page.goto(f"{server.url}/cell-gateway?token={TOKEN}")
    yield page
    context.close()
    assert wrong == []
