from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernel_gateway.image.layer import prepare_layer
from kernel_gateway.image.store import ImageStore

from .conftest import UID, Inside
from .wheels import write_wheel


def test_a_layer_belongs_to_the_uid_of_the_session(store: ImageStore, tmp_path: Path) -> None:
    uid = UID if UID is not None else os.getuid()
    layer = tmp_path / "layer"
    layer.mkdir()
    prepare_layer(store.find("small"), layer, uid)
    assert {p.lstat().st_uid for p in (layer, *layer.rglob("*"))} == {uid}


def test_a_layer_that_is_in_use_is_left_alone(store: ImageStore, tmp_path: Path) -> None:
    layer, outside = tmp_path / "layer", tmp_path / "outside"
    layer.mkdir()
    outside.mkdir()
    (layer / "venv").symlink_to(outside)
    prepare_layer(store.find("small"), layer, None)
    assert list(outside.iterdir()) == []
    assert list(layer.iterdir()) == [layer / "venv"]


def test_what_pip_installs_lands_in_the_layer_and_shadows_the_image(inside: Inside) -> None:
    write_wheel(inside.workspace, "networkx", "99.0", {"networkx/__init__.py": "version = 'mine'\n"})
    inside.run("pip", "install", "-q", "--no-index", "--find-links", "/workspace", "networkx==99.0")
    assert inside.run("python", "-c", "import networkx; print(networkx.version)").stdout == "mine\n"
    assert list(inside.layer.glob("venv/lib/python3*/site-packages/networkx/__init__.py"))
    listed = inside.run("pip", "list").stdout
    assert "99.0" in listed
    assert "pandas" in listed


def test_uninstalling_brings_the_images_package_back(inside: Inside) -> None:
    write_wheel(inside.workspace, "networkx", "99.0", {"networkx/__init__.py": ""})
    inside.run("pip", "install", "-q", "--no-index", "--find-links", "/workspace", "networkx==99.0")
    assert inside.run("pip", "uninstall", "-q", "-y", "networkx").returncode == 0
    found = inside.run("python", "-c", "import networkx; print(networkx.__version__)").stdout.strip()
    assert found == inside.image.packages["networkx"]


def test_the_image_itself_cannot_be_written(inside: Inside) -> None:
    assert inside.run("sh", "-c", "echo x > /image/python/bin/python3").returncode != 0


@pytest.mark.parametrize("command", ["python", "python3", "pip", "pip3"])
def test_the_layers_programs_come_first(inside: Inside, command: str) -> None:
    assert inside.run("sh", "-c", f"command -v {command}").stdout == f"/home/user/venv/bin/{command}\n"
