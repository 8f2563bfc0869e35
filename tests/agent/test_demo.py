"""The demo on a real kernel, in a real sandbox, with the real SDK: only the model is scripted."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest

from kernel_gateway.demo.run import run_demo
from kernel_gateway.demo.script import NOTICE, PROMPTS
from kernel_gateway.journal import Record, read
from tests.conftest import LiveSession

from .conftest import SYSTEM, Heard


@pytest.fixture
def heard() -> Heard:
    return Heard()


async def test_the_demo_does_what_it_says(session: LiveSession, heard: Heard) -> None:
    prompts: list[str] = []
    results = await run_demo(session.client, heard, system=SYSTEM, on_prompt=prompts.append)
    assert prompts == list(PROMPTS) and heard.of("notice")[0] == NOTICE
    assert [r.stop_reason for r in results] == ["end_turn"] * 3
    assert [r.cost for r in results] == [None] * 3
    presented = [f["path"] for r in results for f in r.presented]
    assert presented == ["seattle-year.png", "seattle-by-month.xlsx"]
    await _check_cells(session)


async def _check_cells(session: LiveSession) -> None:
    records = read(session.folder.journal).records
    starts: list[Record] = [r for r in records if r["kind"] == "start" and r.get("author") == "model"]
    ends = {r["run"]: r for r in records if r["kind"] == "end"}
    by_call: dict[str, Any] = {r["tool_use_id"]: ends[r["run"]] for r in starts if r.get("tool_use_id")}
    failed = {call: end["ename"] for call, end in by_call.items() if end["exit"] != "ok"}
    assert failed == {"demo_wrong": "NameError"}
    assert {r["tool"] for r in starts} >= {"python", "bash", "node"}
    assert "the same as pandas found: true" in str([r for r in records if r.get("run") == "t3:demo_node_spell"])
    await session.client.notebook()
    notebook = nbformat.read(session.folder.notebook, as_version=4)
    nbformat.validate(notebook)
    pictures = [o for c in notebook.cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(pictures) == 1
    assert (session.folder.workspace / "seattle-by-month.xlsx").stat().st_size > 5000
