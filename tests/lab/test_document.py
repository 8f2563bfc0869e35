"""The shared document shows what the fold shows, and keeps what a person changed meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("jupyter_ydoc", reason="the extra `lab` is not installed: pip install -e '.[lab]'")

from jupyter_ydoc import YNotebook
from pycrdt import Doc

from kernel_gateway.server.lab.document import SharedNotebook
from kernel_gateway.server.trust import with_trust

Cell = dict[str, Any]


def code(cell_id: str, source: str = "pass", *outputs: Cell, exit: str = "ok") -> Cell:
    metadata = {"kernel_gateway": {"exit": exit}}
    count = None if exit == "running" else 1
    ran = {"outputs": list(outputs), "execution_count": count}
    return {"cell_type": "code", "id": cell_id, "source": source, "metadata": metadata, **ran}


def words(cell_id: str, source: str) -> Cell:
    return {"cell_type": "markdown", "id": cell_id, "source": source, "metadata": {}}


def stream(text: str) -> Cell:
    return {"output_type": "stream", "name": "stdout", "text": text}


class Room:
    """A document, and another one of a browser that shares it."""

    def __init__(self, *cells: Cell) -> None:
        self.document = YNotebook()
        self.document.set({"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
        self.changes = 0
        self.shared = SharedNotebook(self.document, self._count)
        self.shared.adopt(cells)
        self.browser = YNotebook(Doc())
        self.sync()

    def _count(self) -> None:
        self.changes += 1

    def sync(self) -> None:
        """Both ways, as a room does."""
        self.browser.ydoc.apply_update(self.document.ydoc.get_update(self.browser.ydoc.get_state()))
        self.document.ydoc.apply_update(self.browser.ydoc.get_update(self.document.ydoc.get_state()))

    @property
    def ids(self) -> list[str]:
        return [cell["id"] for cell in self.browser.get()["cells"]]

    def cell(self, number: int) -> Cell:
        return self.browser.get()["cells"][number]

    def person_inserts(self, place: int, cell: Cell) -> None:
        self.browser.ycells.insert(place, self.browser.create_ycell(cell))
        self.sync()

    def show(self, *cells: Cell) -> None:
        self.shared.show(cells)
        self.sync()


def test_a_cell_that_runs_grows_in_place() -> None:
    room = Room(code("a"))
    room.show(code("a"), code("b", "tick()", exit="running"))
    before = room.document.ycells[1]
    room.show(code("a"), code("b", "tick()", stream("1\n"), exit="running"))
    room.show(code("a"), code("b", "tick()", stream("1\n2\n"), stream("x"), exit="ok"))
    assert room.cell(1)["outputs"] == [stream("1\n2\n"), stream("x")]
    assert room.cell(1)["execution_count"] == 1
    assert room.document.ycells[1]["execution_state"] == "idle"
    assert before["id"] == "b", "the cell is the same object as before, so that a cursor in it stays"
    assert room.changes == 0, "what is shown is no change of a person"


def test_what_a_person_types_is_kept_while_outputs_arrive() -> None:
    room = Room(code("a", "x = 1"))
    source = room.browser.ycells[0]["source"]
    source += "\ny = 2"
    room.sync()
    room.show(code("a", "x = 1", stream("late"), exit="ok"))
    assert room.cell(0)["source"] == "x = 1\ny = 2"
    assert room.cell(0)["outputs"] == [stream("late")]
    assert room.changes == 1
    assert [c["source"] for c in room.shared.cells()] == ["x = 1\ny = 2"]
    assert [c["source"] for c in room.shared.shown] == ["x = 1"]


def test_a_change_by_another_hand_appears_where_nobody_writes() -> None:
    room = Room(words("a", "old"), code("b"))
    room.show(words("a", "new"), code("b"))
    assert room.cell(0)["source"] == "new"


def test_cells_of_the_model_come_before_the_empty_cell_in_which_a_person_may_write() -> None:
    room = Room(code("a"))
    room.person_inserts(1, code("mine", ""))
    room.show(code("a"), code("b"))
    assert room.ids == ["a", "b", "mine"]
    assert [c["id"] for c in room.shared.cells()] == ["a", "b"], "an empty cell is nobody's record"


def test_what_a_person_deleted_a_moment_ago_does_not_come_back() -> None:
    room = Room(code("a"), code("b"))
    del room.browser.ycells[0]
    room.sync()
    room.show(code("a"), code("b"), code("c"))
    assert room.ids == ["b", "c"]
    room.show(code("b"), code("c"))
    assert room.ids == ["b", "c"]


def test_a_deleted_cell_that_runs_again_is_shown_again() -> None:
    room = Room(code("a"), code("b"))
    room.show(code("b"))
    assert room.ids == ["b"]
    room.show(code("a"), code("b"))
    assert room.ids == ["a", "b"]


def test_cleared_outputs_are_told_and_stay_cleared() -> None:
    room = Room(code("a", "print(1)", stream("1\n")))
    del room.browser.ycells[0]["outputs"][0:1]
    room.sync()
    assert room.shared.cells()[0]["outputs"] == []
    room.show(code("a", "print(1)", stream("1\n")), code("b"))
    assert room.cell(0)["outputs"] == []


def test_a_cell_that_became_text_is_replaced() -> None:
    room = Room(code("a", "while True: pass", exit="running"))
    raw = {"cell_type": "raw", "id": "a", "source": "while True: pass\n\n# interrupted", "metadata": {}}
    room.show(raw)
    assert room.cell(0)["cell_type"] == "raw"
    assert room.cell(0)["source"] == raw["source"]


def test_a_new_order_is_taken_over() -> None:
    room = Room(code("a"), code("b"), code("c"))
    room.show(code("c"), code("a"), code("b"))
    assert room.ids == ["c", "a", "b"]


def test_a_new_order_of_a_person_stays() -> None:
    room = Room(code("a"), code("b"), code("c"))
    cell = room.browser.get()["cells"][2]
    del room.browser.ycells[2]
    room.person_inserts(0, cell)
    room.show(code("a"), code("b"), code("c"), code("d"))
    assert room.ids[:3] == ["c", "a", "b"]
    assert "d" in room.ids


def test_words_that_are_still_coming_are_no_persons_cell() -> None:
    room = Room(code("a"))
    room.person_inserts(1, code("mine", ""))
    room.shared.preview("The mean")
    room.shared.preview("The mean is 3.")
    room.sync()
    assert room.ids == ["a", "cell-gateway-words", "mine"]
    assert room.cell(1)["source"] == "The mean is 3."
    assert [c["id"] for c in room.shared.cells()] == ["a"]
    room.shared.preview("")
    room.sync()
    assert room.ids == ["a", "mine"]


def test_what_kept_a_cell_from_running_stands_below_it_and_is_no_record() -> None:
    room = Room(code("a", "1", stream("1\n")))
    room.shared.tell("a", "The disk is full.")
    room.sync()
    assert [o["name"] for o in room.cell(0)["outputs"]] == ["stdout", "stderr"]
    assert room.shared.cells() == room.shared.shown
    room.show(code("a", "1", stream("2\n")))
    assert room.cell(0)["outputs"] == [stream("2\n")]


def test_numbers_of_an_output_reach_a_browser_as_numbers() -> None:
    room = Room(code("a"))
    room.show(code("a", "x", {"output_type": "display_data", "data": {"application/json": {"n": 3}}, "metadata": {}}))
    assert room.cell(0)["outputs"][0]["data"] == {"application/json": {"n": 3}}


def test_what_a_person_cleared_while_it_runs_does_not_come_back() -> None:
    room = Room(code("a", "tick()", stream("1\n"), exit="running"))
    del room.browser.ycells[0]["outputs"][0:1]
    room.sync()
    room.show(code("a", "tick()", stream("1\n2\n"), exit="running"))
    assert room.cell(0)["outputs"] == []
    recorded = room.shared.cells()
    assert recorded[0]["outputs"] == [] and room.shared.shown[0]["outputs"] != []
    room.shared.accept(recorded)
    room.show(code("a", "tick()", stream("3\n"), exit="ok"))
    assert room.cell(0)["outputs"] == [stream("3\n")]


def test_a_change_that_is_taken_back_while_it_is_recorded_stays_taken_back() -> None:
    room = Room(words("a", "old"))
    source = room.browser.ycells[0]["source"]
    source += "er"
    room.sync()
    recorded = room.shared.cells()
    del source[3:5]
    room.sync()
    room.shared.accept(recorded)
    room.show(words("a", "older"))
    assert room.cell(0)["source"] == "old"
    assert (room.shared.shown[0]["source"], room.shared.cells()[0]["source"]) == ("older", "old")


def test_a_pasted_cell_shows_what_the_session_knows_of_it() -> None:
    room = Room(code("a", "print(1)", stream("1\n")))
    room.person_inserts(1, code("copy", "print(1)", stream("1\n")))
    room.shared.accept(room.shared.cells())
    room.show(code("a", "print(1)", stream("1\n")), code("copy", "print(1)", exit="unrun"))
    assert [len(room.cell(n)["outputs"]) for n in (0, 1)] == [1, 0]


def test_who_writes_in_a_cell_as_it_is_interrupted_loses_nothing() -> None:
    room = Room(code("a", "work()", exit="running"))
    source = room.browser.ycells[0]["source"]
    source += " # faster"
    room.sync()
    raw = {"cell_type": "raw", "id": "a", "source": "work()\n\n# interrupted", "metadata": {}}
    room.show(raw)
    assert room.cell(0)["source"] == "work() # faster"
    room.shared.accept(room.shared.cells())
    room.show({**raw, "source": "work() # faster"})
    assert (room.cell(0)["cell_type"], room.cell(0)["source"]) == ("raw", "work() # faster")


def test_trust_that_the_journal_does_not_give_is_withdrawn_before_outputs_are_shown() -> None:
    html = {"output_type": "display_data", "data": {"text/html": "<b>"}, "metadata": {}}
    untrusted = {**code("a", "x", html), "metadata": {"trusted": False, "kernel_gateway": {"exit": "ok"}}}
    room = Room({**untrusted, "outputs": []})
    room.browser.ycells[0]["metadata"]["trusted"] = True
    room.sync()
    updates: list[bytes] = []
    subscription = room.document.ydoc.observe(lambda event: updates.append(event.update))
    room.shared.show([untrusted])
    room.document.ydoc.unobserve(subscription)
    seen: list[Any] = []
    for update in updates:
        room.browser.ydoc.apply_update(update)
        seen.append(room.cell(0)["metadata"]["trusted"] or room.cell(0)["outputs"])
    assert seen == [[], [html]]


def test_integers_beyond_those_of_a_browser_are_shown_and_break_nothing() -> None:
    numbers = [2**53 + 1, 2**63, -(2**63), 2**64 - 1, 3]
    shown = {"output_type": "display_data", "data": {"application/json": {"n": numbers}}, "metadata": {"m": 2**64 - 1}}
    room = Room(code("a"))
    room.show(with_trust(code("a", "x", shown)))
    found = room.cell(0)["outputs"][0]["data"]["application/json"]["n"]
    assert found == [float(number) for number in numbers]


def test_a_new_order_takes_along_what_somebody_is_just_writing() -> None:
    room = Room(code("a"), code("b"))
    source = room.browser.ycells[0]["source"]
    source += " # mine"
    room.sync()
    room.show(code("b"), code("a"))
    assert (room.ids, room.cell(1)["source"]) == (["b", "a"], "pass # mine")
