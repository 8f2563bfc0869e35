from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kernel_gateway.cli.image import app
from kernel_gateway.errors import NotFound
from kernel_gateway.image.store import ImageStore


@pytest.fixture
def command(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """The command group, on a store that has the image ``small``."""
    monkeypatch.setenv("CELL_GATEWAY_IMAGES", str(store.root))
    return CliRunner()


def test_list_names_each_image_with_its_digest(command: CliRunner, store: ImageStore) -> None:
    said = command.invoke(app, ["list"]).stdout
    assert "small" in said
    assert store.find("small").digest[:12] in said


def test_list_prints_json(command: CliRunner, store: ImageStore) -> None:
    (found,) = json.loads(command.invoke(app, ["list", "--json"]).stdout)
    assert found["name"] == "small"
    assert found["path"] == str(store.find("small").root)
    assert found["bytes"] > 1_000_000


def test_an_empty_store_says_how_to_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELL_GATEWAY_IMAGES", str(tmp_path))
    result = CliRunner().invoke(app, ["list"])
    assert "cell-gateway image build" in result.stderr
    assert result.stdout == ""


def test_show_lists_the_packages_and_the_recipe(command: CliRunner) -> None:
    assert "nice==1.0" in command.invoke(app, ["show", "small"]).stdout
    shown = json.loads(command.invoke(app, ["show", "small", "--json"]).stdout)
    assert shown["packages"]["nice"] == "1.0"
    assert shown["recipe"]["requirements"] == "nice\n"


def test_show_of_an_unknown_image_fails(command: CliRunner) -> None:
    assert isinstance(command.invoke(app, ["show", "other"]).exception, NotFound)


def test_build_prints_progress_on_stderr_and_the_image_on_stdout(command: CliRunner, requirements: Path) -> None:
    result = command.invoke(app, ["build", "again", "-r", str(requirements), "--json"])
    assert json.loads(result.stdout)["name"] == "again"
    assert "resolving packages" in result.stderr


def test_remove_frees_the_image(command: CliRunner, store: ImageStore) -> None:
    assert command.invoke(app, ["remove", "small"]).stdout.startswith("Removed small and freed")
    assert store.list() == []
