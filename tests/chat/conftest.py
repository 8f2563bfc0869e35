"""One session's chat in a real `cell-gateway lab`, and a model that answers by what it is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from kernel_gateway.journal import Record, read
from kernel_gateway.scripted_model import text, tool_use
from kernel_gateway.server.chat.rooms import ensure_chat
from kernel_gateway.session.folder import SessionFolder
from tests.lab.conftest import TOKEN, LabServer, browser, chromium, lab

__all__ = ["browser", "chromium", "lab"]
_INPUT = ".jp-chat-input-container textarea"
_FETCH = """
import urllib.request
try:
    urllib.request.urlopen('http://HOST/x')
except Exception as error:
    print(error)
"""
CODE = {
    "count": "print(6 * 7)",
    "sleep": "import time\ntime.sleep(600)",
    "nap": "import time\ntime.sleep(4)\nprint('slept')",
    "fetch": _FETCH,
}


def answer(request: dict[str, Any]) -> list[dict[str, Any]]:
    """A prompt that begins with a word of ``CODE`` runs that; all else is said back."""
    said = sum(m["role"] == "assistant" for m in request["messages"])
    content = request["messages"][-1]["content"]
    blocks: list[Any] = [content] if isinstance(content, str) else [b.get("text", b["type"]) for b in content]
    if blocks[-1] == "tool_result":
        return [text("Done.")]
    prompt = str(blocks[-1])
    if (word := prompt.split()[0].strip(",.").lower()) in CODE:
        return [
            text(f"I {word}."),
            tool_use(f"toolu_{said}", "python", code=CODE[word].replace("HOST", prompt.split()[-1])),
        ]
    return [text(f"You said: {prompt}")]


class Chat:
    """What a person does in a session's chat, and what the journal has of it."""

    def __init__(self, lab: LabServer, session: str) -> None:
        self.lab, self.folder = lab, SessionFolder(lab.data / "sessions" / session)
        self.path = ensure_chat(self.folder)

    def open(self, page: Page) -> None:
        page.goto(f"{self.lab.url}/lab/tree/{self.path}?token={TOKEN}")
        expect(page.locator(_INPUT).first).to_be_visible(timeout=60_000)
        expect(page.get_by_text("Assistant").first).to_be_visible(timeout=30_000)

    def say(self, page: Page, words: str) -> None:
        page.locator(_INPUT).first.fill(words)
        page.locator(_INPUT).first.press("Enter")

    def records(self, kind: str) -> list[Record]:
        return [r for r in read(self.folder.journal).records if r["kind"] == kind]

    def cells(self) -> list[Record]:
        """Those of the model, as they began."""
        return [r for r in self.records("start") if r.get("turn")]

    def ends(self) -> list[str]:
        runs = {r["run"] for r in self.cells()}
        return [r["exit"] for r in self.records("end") if r["run"] in runs]

    def until(self, is_so: Callable[[], bool]) -> None:
        """What a process of its own does is seen by looking."""
        ends = time.monotonic() + 60
        while not is_so():
            assert time.monotonic() < ends, self.lab.log()[-5000:]
            time.sleep(0.05)


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """One for the tests of a module. Without our extension of Lab: its dialog would be answered before a reply can be typed."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.route("**/cell-gateway-lab/**", lambda route: route.abort())
    yield context.new_page()
    context.close()
