from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernel_gateway.cli import app
from kernel_gateway.errors import BadRequest

from .conftest import COMMAND, Cli


def test_the_version_is_printed(cli: Cli) -> None:
    assert cli("--version").out.startswith("cell-gateway ")


def test_help_names_the_commands_and_imports_nothing_heavy(cli: Cli) -> None:
    assert all(name in cli("--help").out for name in ("ask", "chat", "demo", "run", "sessions", "files", "doctor"))
    heavy = "{'anthropic', 'prompt_toolkit', 'zmq', 'nbformat', 'nbconvert'}"
    check = f"import sys, kernel_gateway.cli.app; print({heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_no_arguments_show_the_help(cli: Cli) -> None:
    done = cli()
    assert "Usage" in done.out + done.err


@pytest.mark.parametrize("arguments", [["nonsense"], ["run", "--nonsense", "x"], ["sessions", "show"]])
def test_bad_use_is_exit_code_2(cli: Cli, arguments: list[str]) -> None:
    done = cli(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err


def test_usage_errors_are_json_too_when_json_is_wanted(cli: Cli) -> None:
    import json

    done = cli("sessions", "show", "--json")
    assert done.code == 2
    assert json.loads(done.err)["error"]["type"] == "BadRequest"


def test_a_config_file_that_is_wrong_is_one_message(cli: Cli, data: Path) -> None:
    data.mkdir()
    (data / "config.toml").write_text("modle = 1\n")
    (data / "config.toml").chmod(0o600)
    done = cli("config", "show")
    assert done.code == 2
    assert "there is no setting 'modle'" in done.err


def test_config_show_names_the_source_of_each_value(cli: Cli) -> None:
    shown = cli("config", "show", "--json", CELL_GATEWAY_LIMITS_MEMORY="1 GB").json
    assert shown["limits.memory"] == {"value": 1024**3, "source": "CELL_GATEWAY_LIMITS_MEMORY"}
    assert shown["data"]["source"] == "CELL_GATEWAY_DATA"


def test_an_unexpected_error_is_a_sentence_and_a_log(cli: Cli, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "sessions").mkdir(parents=True)
    (broken / "sessions").chmod(0o755)
    (tmp_path / "sitecustomize.py").write_text(
        "import kernel_gateway.session.folder as f\n"
        "def boom(self): raise RuntimeError('boom')\n"
        "f.SessionStore.__iter__ = boom\n"
    )
    done = cli("sessions", "list", CELL_GATEWAY_DATA=str(broken), PYTHONPATH=str(tmp_path))
    assert (done.code, "Traceback" in done.err) == (1, False)
    assert "RuntimeError: boom" in done.err
    assert "Traceback" in (broken / "cell-gateway.log").read_text()
    assert (broken / "cell-gateway.log").stat().st_mode & 0o777 == 0o600
    debug = cli("sessions", "list", CELL_GATEWAY_DATA=str(broken), PYTHONPATH=str(tmp_path), CELL_GATEWAY_DEBUG="1")
    assert "Traceback" in debug.err


def test_a_reader_that_goes_away_is_no_error(cli: Cli) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, "config", "show"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.stderr == ""


def test_the_namesake_package_is_refused(cli: Cli, tmp_path: Path) -> None:
    info = tmp_path / "jupyter_kernel_gateway-3.0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: jupyter-kernel-gateway\nVersion: 3.0.1\n")
    done = cli("config", "show", PYTHONPATH=str(tmp_path))
    assert done.code == 2
    assert "jupyter-kernel-gateway is installed" in done.err


def test_other_systems_are_told_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert app.run_command(["config", "show"]) == BadRequest.exit_code
    assert "Linux virtual machine or container" in capsys.readouterr().err


def test_doctor_says_what_was_looked_at_and_never_the_key(cli: Cli) -> None:
    done = cli("doctor", "--json", ANTHROPIC_API_KEY="sk-secret")
    names = {finding["name"] for finding in done.json}
    assert {
        "python",
        "user",
        "settings",
        "data",
        "disk",
        "image",
        "model",
        "logout",
        "service restart",
        "container",
    } <= names
    assert done.code == int(any(finding["ok"] is False for finding in done.json))
    assert "sk-secret" not in done.out + done.err
    assert "ANTHROPIC_API_KEY" in done.out


def test_completion_knows_session_names(cli: Cli, data: Path) -> None:
    from kernel_gateway.session.folder import SessionStore

    SessionStore(data).new({}, "amber-wren")
    environment = {
        "_CELL_GATEWAY_COMPLETE": "complete_bash",
        "COMP_WORDS": "cell-gateway sessions show am",
        "COMP_CWORD": "3",
    }
    assert "amber-wren" in cli(**environment).out
