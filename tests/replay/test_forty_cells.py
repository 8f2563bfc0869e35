"""A long session in three languages with packages and pictures: stopped, its sandbox's own state deleted, resumed; and forked midway."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernel_gateway.session.folder import SessionFolder
from kernel_gateway.supervisor.client import connect
from tests.conftest import LiveSession, NewSession, stop_session
from tests.egress.registry import Registry, serving

from .conftest import Cli

PLOT = "import matplotlib.pyplot as plt\nplt.plot([{0}, 1, 4]); plt.title('{0}'); plt.show()"
# What a person does, over and over: values, files, a shell that moves, node, pictures, a package.
CELLS = [
    "import numpy as np, pandas as pd\ntotal = 0",
    "%%bash\nmkdir -p deep/er && cd deep && export COLOUR=teal && echo one > log.txt",
    "%%node\nconst seen = [1]; seen.push(2)",
    "import random\nunsure = random.random()\nprint(unsure)",
    PLOT.format(5),
    "%%bash\npip install tiny-thing",
    "import tiny_thing\nanswer = tiny_thing.VALUE",
    "rows = pd.DataFrame({'a': np.arange(5) ** 2})\nrows",
    "rows.to_csv('rows.csv', index=False)",
    "%%bash\ncd er; echo two >> ../log.txt; wc -l < ../log.txt",
    "def twice(x):\n    return 2 * x",
    "1 / 0",
    "import os\nos.chdir('deep')",
    "%%node\nrequire('fs').writeFileSync('/workspace/node.json', JSON.stringify(seen))",
    *(f"total += {n}\nprint(total)" for n in range(15, 20)),
    "half = twice(total)",
]
LATER = [
    "total = -1\ndel rows",
    PLOT.format(7),
    "%%bash\ncd /workspace; unset COLOUR; rm rows.csv",
    "%%node\nseen.length = 0",
    "os.chdir('..')",
    *(f"step_{n} = [total] * {n}" for n in range(26, 40)),
    "open('last.txt', 'w').write('last'); print('done')",
]
PROBES = [
    "print(sorted(n for n in globals() if not n.startswith('_')))\nimport os"
    "\nprint(os.getcwd(), total, answer, twice(4), half)"
    "\nprint(rows.to_string() if 'rows' in globals() else '-')",
    "%%bash\necho $COLOUR $PWD; cat log.txt ../log.txt 2>/dev/null",
    "%%node\nconsole.log(seen, process.cwd())",
]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The machine's settings name it."""
    with serving(tmp_path) as found:
        for name in [n for n in os.environ if n.upper().startswith(("PIP_", "NPM_CONFIG_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", f"{found.url}/simple")
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        yield found


def tool(source: str) -> str:
    return next((t for t in ("bash", "node") if source.startswith(f"%%{t}")), "python")


async def work(session: LiveSession, cells: list[str]) -> None:
    """Each cell, and which files it made, as a turn of the model records them."""
    for source in cells:
        done = await session.python(source, tool=tool(source))
        assert done.exit == ("error" if source == "1 / 0" else "ok"), (source, done.stdout, done.stderr, done.evalue)


async def state(folder: SessionFolder) -> tuple[list[str], dict[str, str]]:
    """What a person finds: what the probes print, in the running session, and all files."""
    async with connect(folder, start=False) as client:
        one = LiveSession(folder, client)
        ran = [await one.python(p, tool=tool(p), run=secrets.token_hex(8), hidden=True) for p in PROBES]
    files = {str(p.relative_to(folder.workspace)): p.read_text() for p in folder.workspace.rglob("*") if p.is_file()}
    return [r.stdout for r in ran], files


async def test_it_comes_back_and_its_fork_stands_where_a_session_stopped_there_stands(
    cli: Cli, data: Path, registry: Registry, new_session: NewSession
) -> None:
    whole, first_half = await new_session(name="whole"), await new_session(name="half")
    await work(whole, [*CELLS, *LATER])
    await work(first_half, CELLS)

    forked = cli("fork", "whole", "--at", "cell-20", "--name", "fork", "--json")
    assert (forked.code, forked.json["failed"]) == (0, None), forked.err
    fork = await state(SessionFolder(data / "sessions" / "fork"))
    assert fork == await state(first_half.folder)
    assert ["42" in fork[0][0], "teal" in fork[0][1], "[ 1, 2 ]" in fork[0][2]] == [True] * 3

    stood = await state(whole.folder)
    await whole.client.notebook()
    before = json.loads(whole.folder.notebook.read_text())["cells"]
    unsure = number_of(before, "random.random()")
    # With all that pip put into it, and then without.
    for is_deleted in (False, True):
        await stop_session(whole.folder)
        if is_deleted:
            shutil.rmtree(whole.folder.layer)
        asked = len(registry.requests)
        replay: dict[str, Any] = cli("sessions", "resume", "whole", "--json").json["replay"]
        assert (replay["cells"], replay["names_missing"], replay["files"]) == (40, [], [])
        assert {"tiny_thing", "twice", "step_39"} <= set(replay["names_back"])
        assert [d["cell"] for d in replay["differs"]] == unsure
        assert (len(registry.requests) > asked) is is_deleted
        assert await state(whole.folder) == stood
    assert json.loads(whole.folder.notebook.read_text())["cells"] == before


def number_of(cells: list[dict[str, Any]], part: str) -> list[int]:
    """By the numbers that people are told: all but markdown, from 1."""
    numbered = [c for c in cells if c["cell_type"] != "markdown"]
    return [n for n, c in enumerate(numbered, 1) if part in "".join(c["source"])]
