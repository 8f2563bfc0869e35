"""What doctor says of a logout, a restart of the service and one of the container, for machines that are not this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel_gateway.cli.survival import Facts, Mount, Unit, findings, look, mount_of

TABLE = """\
29 1 0:1 / / rw - overlay overlay rw
30 29 8:1 / /data rw shared:1 - ext4 /dev/sda1 rw
31 30 0:9 / /data/fast\\040one rw - tmpfs tmpfs rw
"""


def said(facts: Facts, name: str) -> tuple[bool | None, str]:
    (found,) = [f for f in findings(facts) if f.name == name]
    return found.ok, found.detail


@pytest.mark.parametrize(
    ("facts", "ok", "words"),
    [
        (Facts(is_root=True, has_systemd=True), True, "root"),
        (Facts(is_root=False, has_systemd=False), True, "no systemd"),
        (Facts(is_root=False, has_systemd=True, lingers=True, kills_at_logout=True), True, "lingering"),
        (Facts(is_root=False, has_systemd=True, in_manager=True, kills_at_logout=False), None, "last login"),
        (Facts(is_root=False, has_systemd=True, kills_at_logout=True), None, "end when you log out"),
        (Facts(is_root=False, has_systemd=True, kills_at_logout=False), True, "go on"),
        (Facts(is_root=False, has_systemd=True), None, "Not known here"),
    ],
)
def test_a_logout(facts: Facts, ok: bool | None, words: str) -> None:
    found = said(facts, "logout")
    assert found[0] is ok and words in found[1]


@pytest.mark.parametrize(
    ("unit", "scopes", "ok", "words"),
    [
        (None, False, None, "There is no"),
        (Unit("systemctl", "control-group", False), False, False, "ends all sessions"),
        (Unit("systemctl", "mixed", False), False, False, "ends all sessions"),
        (Unit("systemctl --user", "control-group", False), True, True, "scopes of their own"),
        (Unit("systemctl", "process", False), False, True, "KillMode is process"),
        (Unit("systemctl", "process", True), False, False, "removes their sockets"),
    ],
)
def test_a_restart_of_the_service(unit: Unit | None, scopes: bool, ok: bool | None, words: str) -> None:
    facts = Facts(is_root=False, has_systemd=True, units=(unit,) if unit else (), has_scopes=scopes)
    found = said(facts, "service restart")
    assert found[0] is ok and words in found[1]
    assert said(Facts(is_root=True, has_systemd=False), "service restart") == (
        None,
        "Not known here (no systemd): what manages the server must end only its process.",
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Mount("/", "overlay"), "all is lost when it is removed"),
        (Mount("/data", "ext4"), "in a volume (/data)"),
        (Mount("/data", "tmpfs"), "in memory"),
    ],
)
def test_a_container(data: Mount, words: str) -> None:
    found = said(Facts(is_root=True, has_systemd=False, in_container=True, data=data), "container")
    assert found[0] is None and words in found[1]


def test_the_mount_of_a_folder_that_need_not_exist() -> None:
    assert mount_of(Path("/data/x/y"), TABLE) == Mount("/data", "ext4")
    assert mount_of(Path("/database"), TABLE) == Mount("/", "overlay")
    assert mount_of(Path("/data/fast one/z"), TABLE) == Mount("/data/fast one", "tmpfs")


def test_this_machine_is_looked_at_without_asking_anybody(tmp_path: Path) -> None:
    facts = look(tmp_path)
    assert facts.data.kind
    assert len(findings(facts)) == 3
