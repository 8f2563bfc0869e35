"""User ids of sessions, in a registry of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernel_gateway.errors import EngineUnavailable
from kernel_gateway.sandbox.users import FIRST, LAST, UidRegistry


@pytest.fixture
def registry(tmp_path: Path) -> UidRegistry:
    return UidRegistry(tmp_path / "lib" / "uids.json", first=400_000, last=400_004)


def folder(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir(exist_ok=True)
    return tmp_path / name


def test_the_range_never_holds_root() -> None:
    assert 0 < FIRST < LAST


def test_two_sessions_have_two_uids_and_keep_them(registry: UidRegistry, tmp_path: Path) -> None:
    one, other = registry.allocate(folder(tmp_path, "one")), registry.allocate(folder(tmp_path, "other"))
    assert one != other
    assert registry.allocate(tmp_path / "one") == one


def test_the_registry_is_readable_by_its_owner_alone(registry: UidRegistry, tmp_path: Path) -> None:
    registry.allocate(folder(tmp_path, "one"))
    assert registry.path.stat().st_mode & 0o777 == 0o600
    assert registry.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_released_uid_is_used_again_last(registry: UidRegistry, tmp_path: Path) -> None:
    first = registry.allocate(folder(tmp_path, "one"))
    registry.allocate(folder(tmp_path, "kept"))
    registry.release(first)
    later = [registry.allocate(folder(tmp_path, f"later{i}")) for i in range(4)]
    assert later[-1] == first


def test_the_uid_of_a_folder_that_is_gone_is_used_again_when_no_other_is_left(
    registry: UidRegistry, tmp_path: Path
) -> None:
    uids = [registry.allocate(folder(tmp_path, f"s{i}")) for i in range(5)]
    (tmp_path / "s2").rmdir()
    assert registry.allocate(folder(tmp_path, "new")) == uids[2]


def test_a_full_range_is_refused(registry: UidRegistry, tmp_path: Path) -> None:
    for i in range(5):
        registry.allocate(folder(tmp_path, f"s{i}"))
    with pytest.raises(EngineUnavailable, match="in use"):
        registry.allocate(folder(tmp_path, "one more"))


def test_a_renamed_session_keeps_its_uid(registry: UidRegistry, tmp_path: Path) -> None:
    uid = registry.allocate(folder(tmp_path, "generic"))
    (tmp_path / "generic").rename(tmp_path / "claimed")
    registry.transfer(uid, tmp_path / "claimed")
    assert registry.allocate(tmp_path / "claimed") == uid
    assert registry.allocate(folder(tmp_path, "generic")) != uid


def test_a_uid_with_an_account_or_a_process_is_not_taken(tmp_path: Path) -> None:
    own = os.geteuid()
    registry = UidRegistry(tmp_path / "uids.json", first=own, last=own + 1)
    if own + 1 == 1:
        with pytest.raises(EngineUnavailable):
            registry.allocate(folder(tmp_path, "one"))
    else:
        assert registry.allocate(folder(tmp_path, "one")) != own


def test_a_damaged_registry_is_not_guessed_at(registry: UidRegistry, tmp_path: Path) -> None:
    registry.path.parent.mkdir()
    registry.path.write_text("{")
    with pytest.raises(EngineUnavailable, match="damaged"):
        registry.allocate(folder(tmp_path, "one"))


def test_processes_that_allocate_at_once_get_different_uids(tmp_path: Path) -> None:
    path = tmp_path / "lib" / "uids.json"
    code = (
        "import sys; from pathlib import Path; from kernel_gateway.sandbox.users import UidRegistry\n"
        "registry = UidRegistry(Path(sys.argv[1]), first=400_000, last=400_999)\n"
        "for i in range(20): registry.allocate(Path(f'{sys.argv[2]}-{i}'))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(path), str(tmp_path / f"p{i}")]) for i in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    owners = json.loads(path.read_text())["owners"]
    assert len({uid for uid, _ in owners}) == len({owner for _, owner in owners}) == 80
