"""``sessions audit``, ``allow`` and ``cut``, and the question at the terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import COMMAND, Cli

DENIED = "import subprocess\nprint(subprocess.getoutput('curl -s http://other.example.com/x?y=z'))\n"


def session_of(cli: Cli, *options: str, source: str = DENIED) -> tuple[str, str]:
    done = cli("run", "-", "--json", *options, stdin=source)
    assert done.code == 0, done.err
    found = done.json
    return found["session"], "".join(o.get("text", "") for o in found["outputs"])


def test_the_audit_shows_each_request_with_its_cell_and_rule(cli: Cli) -> None:
    session, said = session_of(cli)
    assert "rule: registries: only the package registries" in said
    shown = cli("sessions", "audit", session)
    assert "deny 403" in shown.out and "other.example.com" in shown.out and "GET /x?(3 bytes)" in shown.out
    (line,) = cli("sessions", "audit", session, "--json").json
    assert (line["verdict"], line["host"], line["status"]) == ("deny", "other.example.com", 403)
    assert cli("sessions", "audit", session, "--denied", "--json").json == [line]


def test_a_session_that_asked_for_nothing_has_an_empty_audit(cli: Cli) -> None:
    session, _ = session_of(cli, source="print(1)")
    assert cli("sessions", "audit", session, "--json").json == []
    assert "Nothing was asked" in cli("sessions", "audit", session).out


@pytest.mark.parametrize("is_running", [True, False])
def test_allow_and_cut_hold_for_a_session_whether_it_runs_or_not(cli: Cli, is_running: bool) -> None:
    session, _ = session_of(cli)
    if not is_running:
        cli("sessions", "stop", session)
    allowed = cli("sessions", "allow", session, "Other.Example.com", "--as", "tunnel")
    assert allowed.code == 0 and "any bytes to this name" in allowed.err
    assert "allowed as a tunnel only" in session_of(cli, "--session", session)[1]
    assert cli("sessions", "cut", session).code == 0
    assert "cut off" in session_of(cli, "--session", session)[1]
    refused = cli("sessions", "allow", session, "third.example.com")
    assert refused.code == 2 and "--undo" in refused.err
    assert cli("sessions", "cut", session, "--undo").code == 0
    assert "allowed as a tunnel only" in session_of(cli, "--session", session)[1]
    events = [line["event"] for line in cli("sessions", "audit", session, "--json").json if "event" in line]
    assert events == ["allow", "cut", "open again"]


@pytest.mark.parametrize("host", ["127.0.0.1", "https://example.com", "a b"])
def test_what_is_no_name_of_a_host_is_not_allowed(cli: Cli, host: str) -> None:
    session, _ = session_of(cli, source="print(1)")
    assert cli("sessions", "allow", session, host).code == 2


def test_the_mode_of_a_new_session_is_a_flag_and_shown(cli: Cli) -> None:
    session, said = session_of(cli, "--egress", "none")
    assert "no network at all" in said
    assert cli("sessions", "show", session, "--json").json["policy"]["egress"] == "none"
    assert cli("run", "-", "--egress", "open", stdin="1").code == 2


def test_hosts_of_the_settings_are_shown_without_their_secrets_and_told_to_be_kept(cli: Cli, data: Path) -> None:
    data.mkdir()
    file = data / "config.toml"
    file.write_text('[egress.hosts."api.example.com"]\nmode = "gateway"\nheaders = {Authorization = "Bearer s3cret"}\n')
    file.chmod(0o600)
    shown = cli("config", "show")
    assert "api.example.com (gateway: GET, HEAD, adds Authorization)" in shown.out and "s3cret" not in shown.out
    assert "s3cret" not in cli("config", "show", "--json").out
    file.chmod(0o644)
    assert cli("config", "show").code == 2


def test_doctor_says_what_new_sessions_may_reach_and_in_which_way_but_no_credentials(cli: Cli, data: Path) -> None:
    data.mkdir()
    file = data / "config.toml"
    file.write_text('[limits]\negress = "list"\n[egress.hosts."api.example.com"]\nmode = "tunnel"\n')
    file.chmod(0o600)
    settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "https://user:s3cret@index.example.com/simple"}
    (found,) = [f for f in cli("doctor", "--json", **settings).json if f["name"] == "network"]
    assert "api.example.com (tunnel)" in found["detail"] and "https://index.example.com/simple/" in found["detail"]
    assert "s3cret" not in json.dumps(found)


@pytest.mark.parametrize(("typed", "outcome"), [(b"y\n", "502"), (b"\n", "did not allow")])
def test_the_person_at_the_terminal_is_asked_and_the_answer_holds(
    cli: Cli, tmp_path: Path, typed: bytes, outcome: str
) -> None:
    """The host does not exist, so a yes gives 502."""
    script = tmp_path / "ask.py"
    script.write_text(
        "import subprocess\nfor _ in range(2):\n"
        "    print(subprocess.getoutput(\"curl -s -w '%{http_code}' http://nowhere.invalid/x\"))\n"
    )
    said = at_terminal(["run", str(script), "--egress", "ask"], typed)
    assert said.count("wants to reach nowhere.invalid as gateway (GET /x)") == 1
    assert len(re.findall(outcome, said)) == 2, said
    (session,) = re.findall(r"Session: +(\S+)", said)
    events = [e for e in cli("sessions", "audit", session, "--json").json if "event" in e]
    assert [e["event"] for e in events] == ["allowed" if typed == b"y\n" else "denied"] and events[0]["by"]


def at_terminal(arguments: list[str], typed: bytes) -> str:
    """Run the command at a terminal and type once the question is there."""
    main, other = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen([*COMMAND, *arguments], stdin=other, stdout=other, stderr=other, env=environment)
    os.close(other)
    said, asked = b"", False
    while process.poll() is None or select.select([main], [], [], 0)[0]:
        if select.select([main], [], [], 0.1)[0]:
            try:
                said += os.read(main, 4096)
            except OSError:
                break
        if not asked and b"[y/N]" in said:
            asked = True
            os.write(main, typed)
    process.wait()
    os.close(main)
    return said.decode("utf-8", "replace")


def test_where_nobody_can_answer_the_answer_is_no(cli: Cli) -> None:
    _, said = session_of(cli, "--egress", "ask")
    assert "no person allowed it" in said and json.dumps(said)
