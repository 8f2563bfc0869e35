"""Edits of a notebook become records, whether or not its session runs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import pytest

from kernel_gateway.errors import BadRequest
from kernel_gateway.journal import BlobStore, read
from kernel_gateway.notebook.build import fold
from kernel_gateway.notebook.edits import changes
from kernel_gateway.notebook.write import serialize, write_notebook
from kernel_gateway.session.editing import RECORD_BYTES, record_edits
from kernel_gateway.session.folder import SessionFolder
from kernel_gateway.session.lifetime import stop_session
from kernel_gateway.supervisor.client import connect, connect_or_hold
from tests.conftest import LiveSession


def inserted(cell: str, source: str) -> dict[str, Any]:
    return {"op": "insert", "cell": cell, "after": None, "cell_type": "markdown", "source": source}


def folded(folder: SessionFolder) -> dict[str, Any]:
    return fold(read(folder.journal).records, BlobStore(folder.blobs))


def edits(folder: SessionFolder) -> list[dict[str, Any]]:
    return [r for r in read(folder.journal).records if r["kind"] == "edit"]


async def test_what_a_person_edited_outlives_a_killed_supervisor(session: LiveSession) -> None:
    await session.python("x = 1\nprint(x)", cell="a")
    await session.python("print(2)", cell="b")
    before = folded(session.folder)["cells"]
    code: dict[str, Any] = {"cell_type": "code", "id": "mine", "metadata": {}, "source": "x + 1", "outputs": []}
    a, b = (next(c for c in before if c["id"] == name) for name in "ab")
    left = [b, {**a, "source": "x = 5", "outputs": []}, code]
    await record_edits(session.folder, changes(before, left), "ada")
    os.kill((await session.client.hello())["pid"], signal.SIGKILL)
    async with connect_or_hold(session.folder) as client:
        assert client is None
        session.folder.notebook.unlink(missing_ok=True)
        write_notebook(session.folder)
    assert session.folder.notebook.read_bytes() == serialize(folded(session.folder))
    shown = json.loads(session.folder.notebook.read_text())["cells"]
    assert [(c["id"], "".join(c["source"]), len(c["outputs"])) for c in shown] == [
        ("b", "print(2)", 1),
        ("a", "x = 5", 0),
        ("mine", "x + 1", 0),
    ]


async def test_an_edited_cell_runs_in_its_place(session: LiveSession) -> None:
    await session.python("x = 1", cell="a")
    await record_edits(session.folder, [{**inserted("mine", "x + 1"), "cell_type": "code"}], "ada")
    await session.python("x + 1", cell="mine", author="person")
    await session.client.notebook()
    first = json.loads(session.folder.notebook.read_text())["cells"][0]
    assert (first["id"], first["metadata"]["kernel_gateway"]["exit"]) == ("mine", "ok")
    assert first["outputs"][0]["data"]["text/plain"] == ["2"]


async def test_edits_come_into_the_journal_while_the_supervisor_comes_and_goes(session: LiveSession) -> None:
    folder = session.folder
    await stop_session(folder)

    async def edit(number: int) -> None:
        await record_edits(folder, [inserted(f"n{number}", "x")], "ada")

    async def come_and_go() -> None:
        async with connect(folder) as client:
            await client.stop()

    await asyncio.gather(edit(0), come_and_go(), edit(1), edit(2))
    reading = read(folder.journal)
    assert [r["seq"] for r in reading.records] == list(range(len(reading.records)))
    assert not reading.damaged
    assert {f"n{n}" for n in range(3)} <= {c["id"] for c in folded(folder)["cells"]}


async def test_edits_of_a_stopped_session_are_appended(folder: SessionFolder) -> None:
    long = "y" * 100_000
    await record_edits(folder, [inserted("a", "x\ud800"), inserted("b", long)], "ada")
    (record,) = edits(folder)
    assert (record["by"], set(record["changes"][1]["source"])) == ("ada", {"$blob", "bytes"})
    assert [c["source"] for c in folded(folder)["cells"]] == [long, "x?"]


async def test_no_change_is_no_record(folder: SessionFolder) -> None:
    await record_edits(folder, [], "ada")
    assert edits(folder) == []


async def test_many_changes_are_several_records_and_one_that_is_too_big_is_none(folder: SessionFolder) -> None:
    half = "z" * (RECORD_BYTES // 2)
    await record_edits(folder, [inserted(f"n{n}", half + str(n)) for n in range(3)], "ada")
    assert len(edits(folder)) == 3
    with pytest.raises(BadRequest, match="8\\.0 MB"):
        await record_edits(folder, [inserted("a", "ok"), inserted("b", "z" * RECORD_BYTES)], "ada")
    assert len(edits(folder)) == 3
