from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernel_gateway.session.folder import SessionStore
from kernel_gateway.sizes import shown_age, shown_size

from .conftest import Cli

pytestmark = pytest.mark.usefixtures("image")


def stopped(data: Path, name: str) -> None:
    """A session that never ran."""
    SessionStore(data).new({"policy": {}, "uid": None, "mounts": []}, name)


def states(cli: Cli) -> dict[str, str]:
    return {row["session"]: row["state"] for row in cli("sessions", "list", "--json").json}


def test_a_session_is_idle_then_stopped_then_resumed_with_its_files_alone(cli: Cli) -> None:
    cli("run", "-", "--name", "amber", stdin="x = 1; open('kept.txt', 'w').write('kept')")
    assert states(cli) == {"amber": "idle"}
    assert cli("sessions", "stop", "amber").code == 0
    assert states(cli) == {"amber": "stopped"}
    resumed = cli("sessions", "resume", "amber", "--replay", "files")
    assert "its variables are not" in resumed.err
    done = cli("run", "-", "-s", "amber", stdin="print(open('kept.txt').read()); x")
    assert (done.code, done.out) == (1, "kept\n")
    assert "NameError" in done.err


def test_resuming_a_running_session_loses_nothing(cli: Cli) -> None:
    cli("run", "-", "--name", "amber", stdin="x = 1")
    assert "running already" in cli("sessions", "resume", "amber").err
    assert cli("run", "-", "-s", "amber", stdin="x").out == "1\n"


def test_stopping_a_stopped_session_is_no_error(cli: Cli) -> None:
    cli("run", "-", "--name", "amber", stdin="1")
    cli("sessions", "stop", "amber")
    done = cli("sessions", "stop", "amber")
    assert (done.code, "was not running" in done.err) == (0, True)


def test_show_tells_the_limits_isolation_and_cells(cli: Cli) -> None:
    cli("run", "-", "--name", "amber", stdin="1/0", CELL_GATEWAY_LIMITS_MEMORY="1 GB")
    shown = cli("sessions", "show", "amber", "--json").json
    assert shown["policy"]["memory"] == 1024**3
    assert set(shown["isolation"].values()) <= {"enforced", "watched", "none"}
    assert [(c["source"], c["exit"]) for c in shown["cells"] if c["author"] == "person"] == [("1/0", "error")]
    text = cli("sessions", "show", "amber").out
    assert "memory 1 GB" in text
    assert "1/0" in text


def test_delete_removes_everything_however_deep(cli: Cli, data: Path) -> None:
    source = "import os\nfor _ in range(1500):\n    os.mkdir('d'); os.chdir('d')"
    cli("run", "-", "--name", "amber", stdin=source)
    assert cli("sessions", "delete", "amber", "--yes").code == 0
    assert list((data / "sessions").iterdir()) == []


def test_delete_asks_first_where_nobody_can_answer_it_refuses(cli: Cli, data: Path) -> None:
    stopped(data, "amber")
    done = cli("sessions", "delete", "amber")
    assert (done.code, "--yes" in done.err) == (2, True)
    assert states(cli) == {"amber": "stopped"}


def test_delete_older_than_spares_what_was_used_since_and_what_runs(cli: Cli, data: Path) -> None:
    cli("run", "-", "--name", "running", stdin="1")
    os.utime(data / "sessions" / "running" / ".session" / "journal.jsonl", (0, 0))
    for name in ("old", "new"):
        stopped(data, name)
    os.utime(data / "sessions" / "old", (0, 0))
    assert cli("sessions", "delete", "--older-than", "30d", "--yes").code == 0
    assert set(states(cli)) == {"new", "running"}


def test_a_mount_is_refused_while_the_session_runs_and_taken_when_it_is_stopped(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.txt").write_text("mounted")
    cli("run", "-", "--name", "amber", stdin="1")
    done = cli("run", "-", "-s", "amber", "--mount", tmp_path / "set", stdin="1")
    assert (done.code, "sessions stop amber" in done.err) == (2, True)
    cli("sessions", "stop", "amber")
    done = cli("run", "-", "-s", "amber", "--mount", tmp_path / "set", stdin="print(open('inputs/set/a.txt').read())")
    assert done.out == "mounted\n"


def test_an_empty_list_says_how_to_begin(cli: Cli) -> None:
    assert "cell-gateway demo" in cli("sessions", "list").out


def test_a_name_that_fits_several_is_refused(cli: Cli, data: Path) -> None:
    for name in ("amber-1", "amber-2"):
        stopped(data, name)
    done = cli("sessions", "show", "amber")
    assert (done.code, "several" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1023, "1,023 bytes"), (1536, "1.5 KB"), (9 << 30, "9 GB"), (5 << 50, "5,120.0 TB")],
)
def test_sizes_are_shown_short(size: int, text: str) -> None:
    assert shown_size(size) == text


@pytest.mark.parametrize(("age", "text"), [(5, "just now"), (150, "2 min ago"), (7300, "2 h ago"), (9e8, "1970-01-01")])
def test_ages_are_shown_short(age: float, text: str) -> None:
    assert shown_age(1000, 1000 + age) == text
