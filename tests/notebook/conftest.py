"""A small session, in memory and on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kernel_gateway.journal import Journal
from kernel_gateway.session.folder import SessionFolder

from .journals import PNG, Script, display, stdout


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def small_session(script: Script) -> Script:
    """A prompt, a setup cell, words, a picture, an error, a loop that timed out, and files."""
    script.add(
        "session",
        format=1,
        session="amber-wren",
        created="2026-11-24T10:00:00Z",
        version="0.1",
        engine="bubblewrap",
        image={"name": "default", "digest": "sha256:abc"},
        isolation={"network": "enforced"},
        environment={"python": "3.11.9"},
    )
    script.add("prompt", cell="p1", turn="t1", text="Draw the data.\nIt costs $5 & <b>more</b>.", attachments=[])
    script.add("input", path="data.csv", sha256="a" * 64, bytes=12, origin="upload", mime="text/csv")
    script.run("import os", tags=["kernel-gateway-setup"], source_kind="setup", tool="setup", cell="setup-setup")
    script.add("words", cell="w1", turn="t1", text="I read the **file** first.", model="claude-x")
    script.run("open('data.csv').read()", display({"text/plain": "'a,b'"}, kind="execute_result"), turn="t1")
    script.run("plot()", display({"image/png": PNG, "text/plain": "<Figure>"}), turn="t1", cell="plot")
    run = script.run(
        "1/0",
        {
            "output_type": "error",
            "ename": "ZeroDivisionError",
            "evalue": "division by zero",
            "traceback": ["\x1b[31mZeroDivisionError\x1b[39m: division by zero"],
        },
        exit="error",
        turn="t1",
    )
    script.add("files", run=run, files=[{"path": "chart.png", "bytes": 70, "sha256": "b" * 64}], total=1)
    script.run("k = 1\nwhile True: pass", stdout("working\n"), display({"image/png": PNG}), exit="timeout", turn="t1")
    script.add(
        "words",
        cell="w2",
        turn="t1",
        text="Done.",
        model="claude-x",
        tool="present_files",
        files=[{"path": "chart.png", "name": "chart.png", "bytes": 70, "sha256": "b" * 64}],
    )
    script.add("turn", turn="t1", state="ended", usage={"input_tokens": 10, "output_tokens": 5}, cost=0.25)
    return script


@pytest.fixture
def session_folder(tmp_path: Path) -> Callable[[Script], SessionFolder]:
    """A session on disk with the records of a script in its journal."""

    def create(script: Script) -> SessionFolder:
        folder = SessionFolder(tmp_path / "amber-wren")
        folder.create({"session": "amber-wren"})
        journal = Journal(folder.journal)
        for record in script.records:
            journal.append(record["kind"], **{k: v for k, v in record.items() if k not in ("seq", "time", "kind")})
        journal.close()
        return folder

    return create
