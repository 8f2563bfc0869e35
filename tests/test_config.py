from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from kernel_gateway.config import SETTINGS, Settings, load_settings, parse_seconds, parse_size
from kernel_gateway.errors import BadRequest
from kernel_gateway.session.policy import Policy


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"CELL_GATEWAY_DATA": str(tmp_path)}


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(text)
    file.chmod(0o600)
    return file


def load(environ: dict[str, str], **flags: str) -> Settings:
    return load_settings(flags, environ)


def test_without_anything_defaults_hold(environ: dict[str, str]) -> None:
    settings = load(environ)
    assert settings.policy == Policy.default()
    assert settings.values["engine"].source == "default"


def test_a_flag_wins_over_the_environment_and_that_over_the_file(environ: dict[str, str], tmp_path: Path) -> None:
    file = write(tmp_path, '\nmodel = "of-file"\n')
    assert (load(environ)["model"], load(environ).values["model"].source) == ("of-file", f"{file}:2")
    environ["CELL_GATEWAY_MODEL"] = "of-environment"
    assert load(environ).values["model"].source == "CELL_GATEWAY_MODEL"
    flagged = load(environ, model="of-flag").values["model"]
    assert (flagged.value, flagged.source) == ("of-flag", "--model")


def test_limits_take_sizes_and_times_in_words(environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path, '[limits]\nmemory = "3 GB"\ncell_timeout = "5 min"\nprocesses = 10\n')
    policy = load(environ).policy
    assert (policy.memory, policy.cell_timeout, policy.processes) == (3 * 1024**3, 300.0, 10)


def test_prices_are_by_model(environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path, '[prices]\n"my-model" = { input = 1, output = 2.5 }\n')
    assert load(environ).prices == {"my-model": {"input": 1.0, "output": 2.5}}


@pytest.mark.parametrize(
    ("text", "line", "accepts"),
    [
        ('[limits]\n\nmemory = "lots"', ":3", "a size such as 9 GB"),
        ("modle = 1", ":1", "model, engine"),
        ('engine = "chroot"', ":1", "one of: auto, bubblewrap"),
        ("[limits]\ncpus = -1", ":2", "above 0"),
        ("[limits]\nmemory = true", ":2", "a size"),
        ("[pool]\nsize = 1.5", ":2", "whole number"),
        ("[limits]\nnothing = 1", ":2", "limits.memory"),
        ("[prices]\nm = { input = 1 }", ":2", "input and output must be there"),
        ("[prices.m]\ninput = 1\noutput = 2\nlunch = 3", ":1", "cache_read"),
        ("model = ", "", "docs/configuration.md"),
        ("limits = 3", ":1", "There are:"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_line_and_what_is_accepted(
    environ: dict[str, str], tmp_path: Path, text: str, line: str, accepts: str
) -> None:
    file = write(tmp_path, text)
    with pytest.raises(BadRequest) as caught:
        load(environ)
    assert f"{file}{line}" in caught.value.message
    assert accepts in caught.value.next_step


def test_a_wrong_variable_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(BadRequest, match="CELL_GATEWAY_LIMITS_MEMORY"):
        load({**environ, "CELL_GATEWAY_LIMITS_MEMORY": "much"})


def test_a_file_that_others_may_write_is_not_trusted(environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path, "").chmod(0o666)
    with pytest.raises(BadRequest, match="changed by others"):
        load(environ)


@pytest.mark.parametrize(
    ("text", "size"),
    [("9 GB", 9 << 30), ("1.5MB", 3 << 19), ("10 MiB", 10 << 20), ("512", 512), (7, 7), ("2k", 2048), ("1_000", 1000)],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "seconds"), [("30d", 2592000), ("5 min", 300), ("1.5 h", 5400), ("7", 7), (2.5, 2.5)])
def test_times(text: str | float, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "GB", "-1", "1 PB", "1.2.3", "nan", None, True, float("inf"), -5])
def test_what_is_no_size(text: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        parse_size(text)


def test_each_limit_of_a_session_can_be_set() -> None:
    names = {f"idle.{name[5:]}" if (name := f.name).startswith("idle_") else f"limits.{name}" for f in fields(Policy)}
    assert names <= set(SETTINGS)
