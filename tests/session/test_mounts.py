from __future__ import annotations

from pathlib import Path

import pytest

from kernel_gateway.errors import BadRequest, NotFound
from kernel_gateway.session.folder import SessionFolder
from kernel_gateway.session.mounts import MountRequest, add_mounts, parse_mount


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "set").mkdir()
    return tmp_path / "set"


def test_a_mount_has_the_name_of_its_folder_or_a_given_one(place: Path) -> None:
    assert parse_mount(str(place), own=[]) == MountRequest(place, "set")
    assert parse_mount(f"{place}:other", own=[]) == MountRequest(place, "other")


def test_a_path_with_a_colon_that_exists_is_a_path(place: Path) -> None:
    odd = place / "a:b"
    odd.touch()
    assert parse_mount(str(odd), own=[]) == MountRequest(odd, "a:b")


def test_a_link_is_judged_by_what_it_points_at(place: Path) -> None:
    (place / "innocent").symlink_to("/etc")
    with pytest.raises(BadRequest, match="belongs to the system"):
        parse_mount(str(place / "innocent"), own=[])


@pytest.mark.parametrize(
    "path", ["/", "/etc", "/etc/passwd", "/proc", "/sys", "/dev/null", "/home", "/tmp", "/var", "~"]
)
def test_the_system_and_homes_are_not_shown(path: str) -> None:
    with pytest.raises(BadRequest, match="is not mounted"):
        parse_mount(path, own=[])


def test_a_folder_that_holds_a_home_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "people" / "me").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "people" / "me"))
    with pytest.raises(BadRequest, match="home"):
        parse_mount(str(tmp_path / "people"), own=[])


@pytest.mark.parametrize("path", [".ssh", "project/.git", ".env"])
def test_dotfolders_and_what_lies_in_them_are_not_shown(place: Path, path: str) -> None:
    (place / path / "keys").mkdir(parents=True)
    for below in (path, f"{path}/keys"):
        with pytest.raises(BadRequest, match="secrets"):
            parse_mount(str(place / below), own=[])


def test_our_own_data_are_not_shown_nor_what_holds_them(place: Path) -> None:
    (place / "data" / "sessions").mkdir(parents=True)
    for path in (place, place / "data", place / "data" / "sessions"):
        with pytest.raises(BadRequest, match="own data"):
            parse_mount(str(path), own=[place / "data"])


def test_what_is_not_there_is_said(place: Path) -> None:
    with pytest.raises(NotFound):
        parse_mount(str(place / "nothing"), own=[])


@pytest.mark.parametrize("name", ["..", "a/b", "a\nb"])
def test_odd_names_are_refused(place: Path, name: str) -> None:
    with pytest.raises((BadRequest, NotFound)):
        parse_mount(f"{place}:{name}", own=[])


def test_two_mounts_of_one_name_are_refused(place: Path) -> None:
    with pytest.raises(BadRequest, match="Two mounts"):
        parse_mount(str(place), own=[], taken=["set"])


def test_mounts_are_recorded_once(folder: SessionFolder, place: Path) -> None:
    for _ in range(2):
        add_mounts(folder, [MountRequest(place, "set")])
    assert folder.read()["mounts"] == [{"source": str(place), "name": "set"}]
