from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from kernel_gateway.journal import read

from .conftest import Cli

pytestmark = pytest.mark.usefixtures("image")


@pytest.fixture
def session(cli: Cli) -> str:
    cli("run", "-", "--name", "amber", stdin="1")
    return "amber"


def test_a_file_goes_in_is_recorded_and_comes_out(cli: Cli, session: str, data: Path, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b\n")
    assert cli("files", "put", session, tmp_path / "data.csv").out == "data.csv  4 bytes\n"
    (record,) = [
        r for r in read(data / "sessions" / session / ".session" / "journal.jsonl").records if r["kind"] == "input"
    ]
    digest = hashlib.sha256(b"a,b\n").hexdigest()
    assert {k: record[k] for k in ("path", "sha256", "bytes", "origin", "mime")} == {
        "path": "data.csv",
        "sha256": digest,
        "bytes": 4,
        "origin": "upload",
        "mime": "text/csv",
    }
    assert cli("files", "get", session, "data.csv", "-o", "-").out == "a,b\n"


def test_the_session_can_write_to_what_it_was_given(cli: Cli, session: str, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x.txt").write_text("old")
    cli("files", "put", session, tmp_path / "d")
    done = cli("run", "-", "-s", session, "-l", "bash", stdin="echo new > d/x.txt; touch d/y; ls d")
    assert done.out == "x.txt\ny\n"


def test_get_never_replaces_a_file_unless_forced(cli: Cli, session: str, tmp_path: Path) -> None:
    cli("run", "-", "-s", session, stdin="open('a.txt', 'w').write('theirs')")
    mine = tmp_path / "work" / "a.txt"
    mine.write_text("mine")
    assert cli("files", "get", session, "a.txt").code == 2
    assert mine.read_text() == "mine"
    assert cli("files", "get", session, "a.txt", "--force").code == 0
    assert mine.read_text() == "theirs"


def test_get_strips_setuid_and_leaves_no_half_file(cli: Cli, session: str, tmp_path: Path) -> None:
    cli("run", "-", "-s", session, stdin="import os; open('t', 'w').write('x'); os.chmod('t', 0o6755)")
    cli("files", "get", session, "t", "-o", tmp_path / "out")
    assert (tmp_path / "out").stat().st_mode & 0o7777 == 0o755
    assert cli("files", "get", session, "missing", "-o", tmp_path / "none").code == 2
    assert not (tmp_path / "none").exists()


def test_links_out_of_the_workspace_are_refused(cli: Cli, session: str) -> None:
    cli(
        "run", "-", "-s", session, stdin="import os; os.symlink('/etc/passwd', 'report.pdf'); os.symlink('/etc', 'dir')"
    )
    for path in ("report.pdf", "dir/passwd", "../.session/session.json"):
        done = cli("files", "get", session, path, "-o", "-")
        assert (done.code, done.out) == (2, "")


def test_odd_names_are_listed_escaped_and_exact_in_json(cli: Cli, session: str) -> None:
    cli("run", "-", "-s", session, stdin=r"open('\x1b[31mred\n', 'w'); open('\u202egnp', 'w'); open(b'\xff', 'w')")
    shown = cli("files", "ls", session).out
    assert "\\x1b[31mred\\n" in shown
    assert "\\u202egnp" in shown
    assert "\x1b" not in shown
    paths = {entry["path"] for entry in cli("files", "ls", session, "--json").json}
    assert {"\x1b[31mred\n", "\u202egnp", os.fsdecode(b"\xff")} <= paths


def test_an_upload_over_the_limit_is_refused(cli: Cli, tmp_path: Path) -> None:
    cli("run", "-", "--name", "small", stdin="1", CELL_GATEWAY_LIMITS_UPLOAD="10")
    (tmp_path / "big").write_text("x" * 11)
    done = cli("files", "put", "small", tmp_path / "big", "--json")
    assert (done.code, json.loads(done.err)["error"]["type"]) == (2, "FileTooLarge")
