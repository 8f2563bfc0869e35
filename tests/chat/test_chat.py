from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.chat.conftest import Chat, answer
from tests.lab.conftest import LabServer

REPLIES = [answer] * 100


@pytest.fixture(scope="module")
def chat(lab: LabServer) -> Chat:
    return Chat(lab, lab.new("amber", egress="ask", limits={"ask_timeout": "30 s"}))


@pytest.fixture(scope="module")
def opened(chat: Chat, page: Page) -> Page:
    chat.open(page)
    return page


def answers(chat: Chat) -> list[str]:
    """What the assistant said, as it is on disk."""
    found: Any = json.loads((chat.folder.path / "session.chat").read_bytes())
    return [m["body"] for m in found["messages"] if m["sender"].endswith("::Assistant")]


def test_a_message_is_answered_with_words_and_a_cell_and_its_cost(chat: Chat, opened: Page) -> None:
    chat.say(opened, "Count, please")
    expect(opened.get_by_text("Done.")).to_be_visible(timeout=30_000)
    expect(opened.get_by_text("I count.")).to_be_visible()
    expect(opened.get_by_text("tokens in")).to_be_visible()
    (cell,) = chat.cells()
    assert cell["source"] == "print(6 * 7)"


def test_stop_ends_the_running_cell_and_the_turn(chat: Chat, opened: Page) -> None:
    chat.say(opened, "Sleep long")
    chat.until(lambda: len(chat.cells()) == 2)
    opened.get_by_title("Stop generating").click()
    expect(opened.get_by_text("Stopped.")).to_be_visible(timeout=10_000)
    chat.until(lambda: chat.records("turn")[-1].get("stop_reason") == "interrupted")
    assert chat.ends()[-1] == "interrupted"


def test_two_messages_in_a_row_are_answered_one_after_the_other(chat: Chat, opened: Page) -> None:
    chat.say(opened, "First of two")
    chat.say(opened, "Second of two")
    expect(opened.get_by_text("You said: Second of two")).to_be_visible(timeout=20_000)
    expect(opened.get_by_text("You said: First of two")).to_be_visible()
    assert [r["text"] for r in chat.records("prompt")][-2:] == ["First of two", "Second of two"]


@pytest.mark.parametrize(("reply", "event"), [("deny", "denied"), ("allow", "allowed")])
def test_a_question_of_the_network_is_answered_by_a_reply(chat: Chat, opened: Page, reply: str, event: str) -> None:
    chat.say(opened, f"Fetch {event}.example")
    expect(opened.get_by_text(f"wants to reach {event}.example")).to_be_visible(timeout=20_000)
    chat.say(opened, reply)
    expect(opened.get_by_text(f"{event.capitalize()} by").last).to_be_visible(timeout=20_000)
    chat.until(lambda: chat.records("turn")[-1]["state"] == "ended")
    audit = [json.loads(line) for line in (chat.folder.internals / "audit.jsonl").read_text().splitlines()]
    assert [(line["event"], line["host"]) for line in audit if "event" in line][-1] == (event, f"{event}.example")
    assert reply not in [r["text"] for r in chat.records("prompt")]


def test_a_file_of_the_workspace_is_attached_and_saving_asks_nothing(chat: Chat, opened: Page) -> None:
    (chat.folder.workspace / "tides.csv").write_text("level\n7\n")
    opened.get_by_title("Add attachment").click()
    dialog = opened.locator(".jp-Dialog")
    for name in ("amber", "workspace"):
        dialog.get_by_text(name, exact=True).dblclick()
    dialog.get_by_text("tides.csv").click()
    dialog.get_by_role("button", name="Select").click()
    chat.say(opened, "Look at it")
    expect(opened.get_by_text("tides.csv").first).to_be_visible()
    chat.until(lambda: [a["path"] for a in chat.records("prompt")[-1]["attachments"]] == ["tides.csv"])
    with opened.expect_response(lambda answer: answer.request.method == "PUT" and "session.chat" in answer.url):
        opened.keyboard.press("Control+s")
    expect(dialog).to_have_count(0)
    assert len(answers(chat)) >= len(chat.records("prompt"))


def test_a_server_that_is_killed_answers_each_message_once_when_it_is_back(chat: Chat, opened: Page) -> None:
    before = len(chat.records("prompt"))
    chat.say(opened, "Nap a bit")
    chat.until(lambda: chat.cells()[-1]["source"].startswith("import time\ntime.sleep(4)"))
    chat.say(opened, "And after that")
    expect(opened.get_by_text("And after that", exact=True)).to_be_visible()
    chat.lab.restart()
    expect(opened.get_by_text("You said: And after that")).to_be_visible(timeout=40_000)
    expect(opened.get_by_text("it goes on")).to_be_visible()
    opened.reload()
    expect(opened.get_by_text("You said: And after that")).to_have_count(1, timeout=40_000)
    prompts = chat.records("prompt")[before:]
    assert [r["text"] for r in prompts] == ["Nap a bit", "And after that"]
    assert len({r["message"] for r in prompts}) == 2
    assert chat.ends()[-1] == "ok"
    assert sum("Nap" in a or "I nap." in a for a in answers(chat)) == 1
