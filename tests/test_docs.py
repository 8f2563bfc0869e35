"""The pages name everything that a person can type or set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from kernel_gateway.cli.app import app
from kernel_gateway.cli.talking import HELP
from kernel_gateway.config import PRICE_KEYS, load_settings

DOCS = Path(__file__).parents[1] / "docs"


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", {})
    for name, sub in below.items():
        yield from commands(sub, (*path, name))
    if not below:
        yield " ".join(path), command


COMMANDS = dict(commands(typer.main.get_command(app)))


def rows(page: str) -> dict[str, str]:
    """The lines of the tables by what stands in their first column."""
    lines = (DOCS / page).read_text().splitlines()
    return {m[1]: line for line in lines if (m := re.match(r"\| `([^`]+)`", line))}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_and_option_is_on_the_page_of_commands(name: str) -> None:
    line = next((line for key, line in rows("cli.md").items() if key == name or key.startswith(f"{name} ")), None)
    assert line is not None, name
    for parameter in COMMANDS[name].params:
        for option in parameter.opts:
            assert not option.startswith("--") or option == "--help" or f"`{option}`" in line, option


def test_no_command_or_option_is_on_the_page_that_does_not_exist() -> None:
    for key, line in rows("cli.md").items():
        name = next((n for n in COMMANDS if key == n or key.startswith(f"{n} ")), None)
        assert name is not None, key
        options = {o for p in COMMANDS[name].params for o in p.opts}
        assert set(re.findall(r"`(--[a-z-]+)`", line)) <= options


@pytest.mark.parametrize("option", [o for p in typer.main.get_command(app).params for o in p.opts if o != "--help"])
def test_options_of_the_command_itself_are_named(option: str) -> None:
    assert option == "-h" or f"`{option}`" in (DOCS / "cli.md").read_text()


@pytest.mark.parametrize("command", [line.split()[0] for line in HELP.splitlines() if line.startswith("/")])
def test_each_command_of_the_chat_is_named(command: str) -> None:
    assert f"`{command}" in (DOCS / "cli.md").read_text()


def test_the_page_of_settings_has_exactly_the_settings() -> None:
    names = {name for name, _ in load_settings(environ={"CELL_GATEWAY_DATA": "/nowhere"})} | {
        "prices.<model>",
        "egress.hosts.<host>",
    }
    assert set(rows("configuration.md")) == names


@pytest.mark.parametrize("key", PRICE_KEYS)
def test_the_keys_of_a_price_are_named(key: str) -> None:
    assert f"`{key}`" in (DOCS / "configuration.md").read_text()
