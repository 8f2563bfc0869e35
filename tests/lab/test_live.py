"""The open notebook is a view of the session, for the model and for people at once; what people do in it is recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import Thread
from typing import Any

import nbformat
from playwright.sync_api import Browser, Page

from kernel_gateway.journal import BlobStore, read
from kernel_gateway.notebook.build import fold
from kernel_gateway.session.folder import SessionFolder
from tests.lab.conftest import TOKEN, LabServer, cells, kernel_of, open_notebook

_NOTEBOOK = "window.jupyterapp.shell.currentWidget.content"
REPLIES: list[Any] = []


def do(page: Page, command: str) -> None:
    """One of Lab's commands, as its menus and keys call it."""
    page.evaluate("command => window.jupyterapp.commands.execute(command)", command)


def select(page: Page, place: int) -> None:
    """The cell that commands act on; counted from the end where negative."""
    page.evaluate(
        f"place => {{ const nb = {_NOTEBOOK}; nb.deselectAll();"
        " nb.activeCellIndex = place < 0 ? nb.model.cells.length + place : place; }",
        place,
    )


def write(page: Page, source: str) -> str:
    """A new cell at the end; its id."""
    select(page, -1)
    do(page, "notebook:insert-cell-below")
    return page.evaluate(
        f"source => {{ const cell = {_NOTEBOOK}.activeCell.model.sharedModel; cell.setSource(source); return cell.getId(); }}",
        source,
    )


def run(page: Page, source: str) -> str:
    name = write(page, source)
    do(page, "notebook:run-cell")
    return name


def cell_of(page: Page, name: str) -> dict[str, Any]:
    return next(cell for cell in cells(page) if cell["id"] == name)


def text_of(cell: dict[str, Any]) -> str:
    return "".join(str(output.get("text", "")) for output in cell.get("outputs", []))


def until(page: Page, holds: Callable[[list[dict[str, Any]]], bool], what: str) -> list[dict[str, Any]]:
    """The cells of the shared document, once they are so."""
    for _ in range(300):
        found = cells(page)
        if holds(found):
            return found
        page.wait_for_timeout(100)
    raise AssertionError(f"{what}: {[(c['id'], c['source'][:40], c.get('outputs')) for c in cells(page)]}")


def has_run(name: str) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda found: any(cell["id"] == name and cell.get("execution_count") is not None for cell in found)


def folder_of(lab: LabServer, session: str) -> SessionFolder:
    return SessionFolder(lab.data / "sessions" / session)


def essence(found: list[Any]) -> list[tuple[Any, ...]]:
    """What browser, disk and journal must agree on."""
    return [
        (c["id"], c["cell_type"], c["source"], c.get("execution_count"), text_of(c))
        for c in found
        if c["cell_type"] != "code" or c["source"].strip()
    ]


def on_disk(lab: LabServer, session: str) -> list[tuple[Any, ...]]:
    return essence(nbformat.read(folder_of(lab, session).notebook, 4).cells)


def rebuilt(lab: LabServer, session: str) -> list[tuple[Any, ...]]:
    folder = folder_of(lab, session)
    return essence(fold(read(folder.journal).records, BlobStore(folder.blobs))["cells"])


def records(lab: LabServer, session: str, kind: str) -> list[dict[str, Any]]:
    return [record for record in read(folder_of(lab, session).journal).records if record["kind"] == kind]


def agree(page: Page, lab: LabServer, session: str) -> None:
    """Browser, journal and disk hold the same."""
    until(page, lambda found: essence(found) == rebuilt(lab, session), "the browser shows what the journal holds")
    until(page, lambda found: essence(found) == on_disk(lab, session), "the file follows")
    assert page.evaluate(f"{_NOTEBOOK}.model.sharedModel.ydoc.store.pendingStructs") is None


def test_a_cell_of_the_model_appears_as_it_runs_and_shares_its_variables(lab: LabServer, page: Page) -> None:
    lab.new("live", "x = 41")
    open_notebook(page, lab, "live")
    ticking = "import time\nfor n in range(4):\n    print('tick', n, flush=True)\n    time.sleep(.5)\n"
    plot = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()"
    model = Thread(target=lab.run, args=("live", ticking + plot))
    model.start()
    seen = until(page, lambda found: text_of(found[-1]).startswith("tick 0\n"), "the first tick is seen")
    assert "tick 3" not in text_of(seen[-1]), "and the last is not there yet"
    model.join()
    found = until(page, lambda found: len(found[-1].get("outputs", [])) == 2, "a plot follows")
    assert found[-1]["outputs"][-1]["data"]["image/png"]
    page.wait_for_selector(".jp-OutputArea-output img")
    mine = run(page, "x += 1\nprint(x)")
    until(page, has_run(mine), "the person's cell ran")
    assert text_of(cell_of(page, mine)) == "42\n"
    assert lab.run("live", "print(x * 2)")["outputs"][0]["text"] == "84\n"
    assert records(lab, "live", "start")[-2] | {"author": "person", "cell": mine} == records(lab, "live", "start")[-2]
    agree(page, lab, "live")


def test_pressing_run_twice_runs_twice_and_a_repeated_request_once(lab: LabServer, page: Page) -> None:
    lab.new("twice", "n = 0")
    open_notebook(page, lab, "twice")
    name = write(page, "n += 1\nprint(n)")
    do(page, "notebook:run-cell")
    do(page, "notebook:run-cell")
    until(page, lambda found: text_of(found[-1]) == "2\n", "both ran")
    kernel = page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.id")
    document = page.evaluate(f"{_NOTEBOOK}.model.sharedModel.getState('document_id')")
    body = {"cell_id": name, "document_id": document, "request_id": "once"}
    for _ in range(2):
        assert lab.ask("POST", f"/api/kernels/{kernel}/execute", json=body).status_code == 200
    until(page, lambda found: text_of(found[-1]) == "3\n", "it ran once more")
    assert lab.run("twice", "print(n)")["outputs"][0]["text"] == "3\n"


def test_a_request_that_overtakes_its_cell_waits_for_it(lab: LabServer, page: Page) -> None:
    lab.new("overtaken", "x = 1")
    open_notebook(page, lab, "overtaken")
    kernel, document = kernel_of(page), page.evaluate(f"{_NOTEBOOK}.model.sharedModel.getState('document_id')")
    page.evaluate(
        "([url, document, token]) => { const body = JSON.stringify({cell_id: 'late', document_id: document});"
        " fetch(url, {method: 'POST', headers: {Authorization: `token ${token}`}, body });"
        f" setTimeout(() => {_NOTEBOOK}.model.sharedModel.addCell("
        "{cell_type: 'code', id: 'late', source: 'print(x)', metadata: {}}), 1000); }",
        [f"{lab.url}/api/kernels/{kernel}/execute", document, TOKEN],
    )
    until(page, has_run("late"), "it ran when it was there")
    assert text_of(cell_of(page, "late")) == "1\n"


def test_numbers_that_no_browser_knows_break_no_notebook(lab: LabServer, page: Page) -> None:
    numbers = "{'application/json': [2**53 + 1, 2**63, 2**64 - 1]}"
    show = f"display({numbers}, raw=True, metadata={{'n': 2**64 - 1}})\nprint('shown')"
    # The first is in the file of which the shared document is made, the second comes while it is open.
    lab.new("numbers", show)
    open_notebook(page, lab, "numbers")
    lab.run("numbers", show)
    found = until(page, lambda found: [text_of(c) for c in found[-2:]] == ["shown\n"] * 2, "both are shown")
    for cell in found[-2:]:
        shown = cell["outputs"][0]["data"]["application/json"]
        assert [float(number) for number in shown] == [float(2**53), float(2**63), float(2**64)]


def test_an_error_keeps_the_rest_of_a_run_all_from_running(lab: LabServer, page: Page) -> None:
    lab.new("error", "x = 1")
    open_notebook(page, lab, "error")
    broken = write(page, "1 / 0")
    others = [write(page, f"print({n})") for n in range(8)]
    select(page, [cell["id"] for cell in cells(page)].index(broken))
    do(page, "notebook:run-all-below")
    until(page, has_run(broken), "the first ran")
    # Nobody sees it and presses again faster.
    page.wait_for_timeout(300)
    mine = run(page, "print('a later press runs')")
    until(page, has_run(mine), "and so does what is asked for later")
    assert [cell_of(page, name)["outputs"] for name in others] == [[]] * 8
    assert cell_of(page, others[-1])["execution_count"] is None


def test_a_closed_browser_loses_nothing(lab: LabServer, page: Page, browser: Browser) -> None:
    lab.new("closed", "x = 1")
    open_notebook(page, lab, "closed")
    run(page, "import time\nfor n in range(6):\n    print('line', n, flush=True)\n    time.sleep(.4)")
    until(page, lambda found: "line 0" in text_of(found[-1]), "it began")
    page.goto("about:blank")
    lab.run("closed", "print('a cell of the model meanwhile')")
    open_notebook(page, lab, "closed")
    found = until(page, lambda found: "meanwhile" in text_of(found[-1]), "all is there")
    assert text_of(found[-2]) == "".join(f"line {n}\n" for n in range(6))
    assert found[-2]["execution_count"] is not None
    agree(page, lab, "closed")


def test_edits_are_recorded_before_they_are_saved_and_outlive_a_killed_server(lab: LabServer, page: Page) -> None:
    lab.new("edits", "x = 41", "print(x)", "print('goes')")
    open_notebook(page, lab, "edits")
    note = write(page, "# What I think")
    do(page, "notebook:change-cell-to-markdown")
    do(page, "notebook:move-cell-up")
    gone = next(cell["id"] for cell in cells(page) if "goes" in cell["source"])
    select(page, [cell["id"] for cell in cells(page)].index(gone))
    do(page, "notebook:delete-cell")
    unrun = write(page, "later = x")
    until(page, lambda found: essence(found) == rebuilt(lab, "edits"), "the edits are in the journal")
    before = essence(cells(page))
    assert [c[0] for c in before if c[0] in (note, gone, unrun)] == [note, unrun]
    lab.kill()
    assert rebuilt(lab, "edits") == before
    while_down = write(page, "print('written while the server was down', x)")
    lab.command("run", "--session", "edits", "-", text="print('run while the server was down')")
    lab.restart()
    until(page, lambda found: any("run while" in text_of(cell) for cell in found), "the page is connected again")
    agree(page, lab, "edits")
    found = [cell["id"] for cell in cells(page)]
    assert len(found) == len(set(found)) and while_down in found
    select(page, found.index(while_down))
    do(page, "notebook:run-cell")
    until(page, has_run(while_down), "the kernel has its variables")
    assert text_of(cell_of(page, while_down)) == "written while the server was down 41\n"
    agree(page, lab, "edits")


def test_what_was_written_a_moment_before_the_server_ends_is_recorded(lab: LabServer, page: Page) -> None:
    lab.new("ended")
    open_notebook(page, lab, "ended")
    name = write(page, "y = 2")
    document = page.evaluate(f"{_NOTEBOOK}.model.sharedModel.getState('document_id')")
    kernel = kernel_of(page)
    # Its answer says that the server has the cell, which it takes for a question without words and so does not run.
    page.evaluate(f"{_NOTEBOOK}.activeCell.model.sharedModel.setSource('%%ask')")
    lab.ask("POST", f"/api/kernels/{kernel}/execute", json={"cell_id": name, "document_id": document})
    lab.end()
    assert any(cell[0] == name for cell in rebuilt(lab, "ended"))
    lab.restart()


def test_two_browsers_and_the_model_write_at_once(lab: LabServer, page: Page, browser: Browser) -> None:
    lab.new("both", "x = 1", "y = 2")
    open_notebook(page, lab, "both")
    context = browser.new_context()
    other = context.new_page()
    context.request.get(f"{lab.url}/api/status", params={"token": TOKEN})
    open_notebook(other, lab, "both")
    for who, where in (("one", page), ("two", other)):
        where.evaluate(
            f"who => {{ const nb = {_NOTEBOOK}.model.sharedModel;"
            " for (let n = 0; n < 5; n++) nb.insertCell(nb.cells.length, {cell_type: 'code', source: who + n, metadata: {}});"
            " const last = nb.cells[2]; last.setSource(last.getSource() + ' # ' + who); }",
            who,
        )
    lab.run("both", "print('model')")
    for where in (page, other):
        until(
            where, lambda found: len([c for c in found if c["source"][:3] in ("one", "two")]) == 10, "all ten are there"
        )
        agree(where, lab, "both")
    assert essence(cells(page)) == essence(cells(other))
    context.close()


def test_a_person_may_leave_a_widget_and_move_it(lab: LabServer, page: Page) -> None:
    lab.new("slider")
    assert lab.run("slider", "%pip install -q ipywidgets")["exit"] == "ok"
    lab.run("slider", "import ipywidgets\nipywidgets.IntSlider()")
    open_notebook(page, lab, "slider")
    page.get_by_text("Run this cell yourself to use it.").wait_for()
    assert page.locator(".noUi-handle").count() == 0, "a widget of the model acts on nobody's behalf"
    run(page, "import ipywidgets\ns = ipywidgets.IntSlider(value=3, max=10)\ns")
    handle = page.locator(".noUi-handle")
    handle.wait_for()
    handle.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    mine = run(page, "print(s.value)")
    until(page, has_run(mine), "the kernel heard of it")
    assert text_of(cell_of(page, mine)) == "7\n"


def test_a_question_for_input_is_refused_in_words(lab: LabServer, page: Page) -> None:
    lab.new("input", "x = 1")
    open_notebook(page, lab, "input")
    name = run(page, "input('who? ')")
    until(page, has_run(name), "it ended")
    assert "input" in json.dumps(cell_of(page, name)["outputs"][0]["evalue"])


def test_a_client_without_shared_documents_takes_nothing_away(lab: LabServer) -> None:
    lab.new("plain", "x = 1", "print(x)")
    model = lab.ask("GET", "/api/contents/plain/notebook.ipynb").json()
    lab.run("plain", "print('after it was read')")
    notebook = model["content"]
    notebook["cells"][-1]["source"] = "print(x) # mine"
    notebook["cells"].append(nbformat.v4.new_markdown_cell("a word of mine"))
    saved = lab.ask("PUT", "/api/contents/plain/notebook.ipynb", json={"type": "notebook", "content": notebook})
    assert saved.status_code == 200, saved.text
    sources = [cell[2] for cell in on_disk(lab, "plain")]
    assert sources[-3:] == ["print(x) # mine", "a word of mine", "print('after it was read')"] or sources[-3:] == [
        "print(x) # mine",
        "print('after it was read')",
        "a word of mine",
    ]
    assert on_disk(lab, "plain") == rebuilt(lab, "plain")
