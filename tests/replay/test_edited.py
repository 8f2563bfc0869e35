"""A notebook that a person edited: verified as it stands, and brought back as it ran."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kernel_gateway.cli.replaying import Plan
from kernel_gateway.replay.verify import verify
from kernel_gateway.session.editing import record_edits
from kernel_gateway.session.folder import SessionFolder

from .conftest import Cli

Planned = Callable[[Path | SessionFolder], Plan]


async def test_verify_takes_the_notebook_as_it_stands_and_resume_what_ran(
    cli: Cli, data: Path, planned: Planned, image: object
) -> None:
    cli("run", "-", "--name", "amber", stdin="gone = 1")
    cli("run", "-", "-s", "amber", stdin="x = gone + 1\nprint(x)")
    cli("run", "-", "-s", "amber", stdin="print('same')")
    cli("sessions", "stop", "amber")
    folder = SessionFolder(data / "sessions" / "amber")
    _, first, second, third = (c.id for c in planned(folder).recording.cells if c.number)
    await record_edits(
        folder,
        [
            {"op": "delete", "cell": first},
            {"op": "change", "cell": second, "source": "x = 5\nprint(x)"},
            {"op": "clear", "cell": third},
            {"op": "insert", "cell": "later", "after": third, "cell_type": "code", "source": "1/0"},
        ],
        "ada",
    )
    found = planned(folder)
    assert [c.id for c in found.recording.runs] == [second, third, "later"], "what a rerun runs"
    judged = await verify(found.recording, found.fresh, found.environment, found.engine)
    assert [c.verdict for c in judged.verdict.cells] == ["differs", "same"]
    assert "Its source was edited after it ran." in judged.verdict.headline
    assert ([(p.cell.id, p.passed) for p in judged.passed], judged.unrecorded) == ([("later", "it never ran")], 1)

    shown = cli("sessions", "show", "amber", "--json").json["cells"]
    assert [(c["cell"], c["exit"]) for c in shown[-3:]] == [(second, "ok"), (third, "ok"), ("later", "unrun")]
    resumed = cli("sessions", "resume", "amber", "--json").json["replay"]
    assert (set(resumed["names_back"]), resumed["differs"], resumed["passed"]) == ({"gone", "x"}, [], [])

    forked = cli("fork", "amber", "--at", "later", "--name", "fork", "--json")
    assert forked.json["not_restored"] == ["Cell 2 was edited after it ran, and ran as it stands now."]
    last = planned(SessionFolder(data / "sessions" / "fork")).recording.cells[-1]
    assert (last.id, last.exit, last.source) == ("later", "unrun", "1/0")
