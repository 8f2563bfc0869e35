from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kernel_gateway.journal import read
from kernel_gateway.session.folder import SessionFolder
from kernel_gateway.supervisor.client import connect

from .conftest import Cli


def folder_of(data: Path, name: str) -> SessionFolder:
    return SessionFolder(data / "sessions" / name)


def notebook_of(data: Path, name: str) -> dict[str, Any]:
    return json.loads(folder_of(data, name).notebook.read_text())


def test_variables_of_all_languages_come_back_and_the_record_stays(cli: Cli, data: Path, image: object) -> None:
    cli("run", "-", "--name", "amber", stdin="x = 41\nopen('log', 'a').write('once\\n')\nprint('first')")
    cli("run", "-", "-s", "amber", "-l", "bash", stdin="V=7; mkdir -p d; cd d")
    cli("run", "-", "-s", "amber", "-l", "node", stdin="const y = 8")
    cli("run", "-", "-s", "amber", stdin="import random\nprint(random.random())")
    cli("sessions", "stop", "amber")
    before = notebook_of(data, "amber")
    resumed = cli("sessions", "resume", "amber", "--json").json
    assert resumed["variables"] is True
    assert set(resumed["replay"]["names_back"]) == {"x", "random"}
    assert [d["cell"] for d in resumed["replay"]["differs"]] == [7]
    assert (
        cli("run", "-", "-s", "amber", "-l", "bash", stdin="echo $V $(basename $PWD); cat ../log").out == "7 d\nonce\n"
    )
    assert cli("run", "-", "-s", "amber", "-l", "node", stdin="console.log(y)").out == "8\n"
    cells = notebook_of(data, "amber")["cells"]
    assert cells[: len(before["cells"])] == before["cells"]
    assert not [c for c in cells if "restart" in c["id"]]
    verdicts = [r["verdict"] for r in read(folder_of(data, "amber").journal).records if r["kind"] == "replayed"]
    assert verdicts == ["same", "same", "same", "differs"]


def test_files_are_as_they_were_whatever_the_replay_writes(cli: Cli, data: Path, image: object) -> None:
    cli("run", "-", "--name", "amber", stdin="open('a.txt', 'w').write('made')\nopen('b.txt', 'w').write('x')")
    cli("sessions", "stop", "amber")
    workspace = folder_of(data, "amber").workspace
    (workspace / "a.txt").write_text("edited since")
    (workspace / "b.txt").unlink()
    done = cli("run", "-", "-s", "amber", stdin="import os\nprint(open('a.txt').read(), os.path.exists('b.txt'))")
    assert done.out == "edited since False\n"
    assert "a.txt, b.txt" in done.err


def test_the_caller_of_the_next_cell_is_told_once(cli: Cli, image: object) -> None:
    cli("run", "-", "--name", "amber", stdin="x = 1")
    cli("sessions", "stop", "amber")
    cli("sessions", "resume", "amber")
    assert "Names back: x" in cli("run", "-", "-s", "amber", "--json", stdin="x").json["notice"]
    assert cli("run", "-", "-s", "amber", "--json", stdin="x").json["notice"] is None


def test_a_long_replay_is_not_begun_for_a_script(cli: Cli, data: Path, image: object) -> None:
    cli("run", "-", "--name", "amber", stdin="x = 1")
    cli("sessions", "stop", "amber")
    make_long(folder_of(data, "amber").journal)
    done = cli("run", "-", "-s", "amber", stdin="x")
    assert (done.code, "--replay yes" in done.err, "NameError" in done.err) == (1, True, True)


def make_long(journal: Path) -> None:
    """As if the last cell had taken two minutes."""
    from kernel_gateway.journal import encode

    records = read(journal).records
    end = max(r["seq"] for r in records if r["kind"] == "end")
    journal.write_bytes(b"".join(encode({**r, "duration": 120.0} if r["seq"] == end else r) for r in records))


async def test_what_a_killed_replay_set_aside_is_put_back(cli: Cli, data: Path, image: object) -> None:
    cli("run", "-", "--name", "amber", stdin="open('kept.txt', 'w').write('kept')")
    cli("sessions", "stop", "amber")
    folder = folder_of(data, "amber")
    aside = folder.internals / "aside"
    aside.mkdir()
    (folder.workspace / "kept.txt").rename(aside / "kept.txt")
    # Whoever starts it: here none of our commands.
    async with connect(folder):
        assert (folder.workspace / "kept.txt").read_text() == "kept"
        assert not aside.exists()


def test_a_fork_stands_where_the_session_stood(cli: Cli, data: Path, image: object) -> None:
    cli("run", "-", "--name", "amber", stdin="x = 1\nopen('f.txt', 'w').write('one')")
    cli("run", "-", "-s", "amber", stdin="x = 2\nopen('f.txt', 'w').write('two')")
    forked = cli("fork", "amber", "--at", "2", "--name", "fork", "--json")
    assert (forked.code, forked.json["not_restored"]) == (0, []), forked.err
    assert cli("run", "-", "-s", "fork", stdin="print(x, open('f.txt').read())").out == "1 one\n"
    assert cli("run", "-", "-s", "amber", stdin="print(x)").out == "2\n"
    assert notebook_of(data, "fork")["metadata"]["kernel_gateway"]["origin"]["session"] == "amber"
