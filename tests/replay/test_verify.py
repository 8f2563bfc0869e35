from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kernel_gateway.cli.replaying import Plan
from kernel_gateway.replay.verify import Verification, verify
from kernel_gateway.session.folder import SessionFolder
from tests.conftest import LiveSession

from .conftest import Cli, code, printed, write_notebook

Planned = Callable[[Path | SessionFolder], Plan]


async def verified(
    planned: Planned, source: Path | SessionFolder, *, twice: bool = False, keep_going: bool = False
) -> Verification:
    found = planned(source)
    return await verify(
        found.recording, found.fresh, found.environment, found.engine, twice=twice, keep_going=keep_going
    )


def verdicts(found: Verification) -> list[str]:
    return [c.verdict for c in found.verdict.cells]


async def test_a_session_of_every_kind_of_cell_is_the_same(session: LiveSession, planned: Planned) -> None:
    await session.python("import numpy as np\nx = np.arange(5)\nx")
    await session.bash("echo hi > f.txt; V=3; cat f.txt")
    await session.node("const y = 4; y", needs=("node",))
    await session.python("import matplotlib.pyplot as plt\nplt.plot(x);")
    await session.python("1/0")
    await session.python("import os\nos._exit(3)")
    await session.bash("echo ${V-forgotten}; cat f.txt")
    await session.client.notebook()
    found = await verified(planned, session.folder)
    assert verdicts(found) == ["same"] * 7, [c.reason for c in found.verdict.cells]
    assert [p.passed for p in found.passed] == ["the kernel died in it when it was recorded"]
    assert (found.verdict.exit_code, found.environment.is_recorded) == (0, True)


async def test_the_notebook_file_alone_verifies_as_its_session_does(
    session: LiveSession, planned: Planned, tmp_path: Path
) -> None:
    await session.python("x = 40 + 1\nprint(x)")
    await session.client.notebook()
    copy = tmp_path / "copy.ipynb"
    copy.write_bytes(session.folder.notebook.read_bytes())
    assert verdicts(await verified(planned, copy)) == ["same"]
    copy.write_text(copy.read_text().replace("41\\n", "42\\n"))
    found = await verified(planned, copy)
    assert (verdicts(found), found.verdict.exit_code) == (["differs"], 1)
    assert "42 → 41" in found.verdict.headline


async def test_two_runs_tell_chance_from_change(planned: Planned, tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "chance.ipynb",
        code("import random\nprint(random.random())", printed("0.123456789\n")),
        code("print(3)", printed("4\n")),
    )
    found = await verified(planned, path, twice=True)
    assert verdicts(found) == ["volatile", "differs"]
    assert found.verdict.cause == 2


async def test_what_follows_from_the_first_cause_is_told_as_such(planned: Planned, tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "foreign.ipynb",
        code("import a_module_that_is_gone as gone"),
        code("print(gone.x)", printed("1\n")),
        code("print(1)", printed("1\n")),
    )
    found = await verified(planned, path, keep_going=True)
    assert verdicts(found) == ["error", "error", "same"]
    assert (found.verdict.cause, found.verdict.follows[2].cell) == (1, 1)
    stopped = await verified(planned, path)
    assert verdicts(stopped) == ["error", "missing", "missing"]


async def test_files_that_a_foreign_notebook_names_are_brought(planned: Planned, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("n\n1\n2\n")
    (tmp_path / "secret.txt").write_text("not named")
    path = write_notebook(
        tmp_path / "foreign.ipynb",
        code(
            "import os\nprint(len(open('data/a.csv').read()), os.path.exists('secret' + '.txt'))", printed("6 False\n")
        ),
    )
    assert verdicts(await verified(planned, path)) == ["same"]


async def test_metadata_chooses_nothing(planned: Planned, tmp_path: Path, image: object) -> None:
    ours = {
        "schema": 1,
        "engine": "none",
        "image": {"name": "../../etc", "digest": "../../../etc"},
        "policy": {"egress": "ask", "memory": 1 << 50},
        "mounts": [{"source": "/etc", "name": "etc"}],
        "inputs": [{"path": "../../secret.txt", "sha256": None}, {"path": "/etc/passwd", "sha256": "0" * 64}],
    }
    path = write_notebook(
        tmp_path / "n.ipynb", code("import os\nprint(os.listdir('.'))", printed("[]\n")), kernel_gateway=ours
    )
    (tmp_path.parent / "secret.txt").write_text("x")
    plan = planned(path)
    assert plan.fresh.values["mounts"] == []
    assert plan.fresh.values["policy"]["egress"] == "registries"
    found = await verified(planned, path)
    assert verdicts(found) == ["same"]
    assert found.environment.is_recorded is False


async def test_a_cell_tagged_as_ours_is_run_all_the_same(planned: Planned, tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "n.ipynb",
        code("print(1)", printed("2\n"), tags=("kernel-gateway-setup",)),
        kernel_gateway={"schema": 1},
    )
    assert verdicts(await verified(planned, path)) == ["differs"]


def test_the_command_tells_cell_by_cell_and_leaves_nothing(cli: Cli, data: Path, tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "n.ipynb", code("print(1)", printed("1\n")), code("print(3)", printed("2\n")))
    page = tmp_path / "page.html"
    done = cli("verify", path, "--html", page)
    assert done.code == 1
    assert re.search(r"^1 +same", done.out, re.MULTILINE)
    assert "line 1: 2 → 3" in done.out
    assert "2 → 3" in re.sub(r"<[^>]+>", "", page.read_text()) or "verdict" in page.read_text()
    assert list((data / "replays").iterdir()) == []
    as_json = cli("verify", path, "--json")
    assert json.loads(as_json.out)["cause"] == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not a valid notebook"),
        (
            '{"cells": [], "metadata": {"language_info": {"name": "R"}}, "nbformat": 4, "nbformat_minor": 4}',
            "notebook in r",
        ),
        ('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}', "no code cells"),
    ],
)
def test_what_cannot_run_has_exit_code_2(cli: Cli, tmp_path: Path, content: str, said: str, image: object) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text(content)
    done = cli("verify", path)
    assert (done.code, said in done.out + done.err) == (2, True)
