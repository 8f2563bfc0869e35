"""When an ordinary user's supervisor gets a systemd scope, and how it settles in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kernel_gateway.sandbox.limits import cgroup_v2, scope
from kernel_gateway.sandbox.limits.interface import Hierarchy, hierarchies

GOOD = scope.Facts(
    is_root=False,
    program="/usr/bin/systemd-run",
    has_manager=True,
    controllers=frozenset({"cpu", "memory", "pids"}),
    lingers=True,
)


def test_a_scope_with_delegated_controllers_is_asked_for_where_a_user_manager_stays() -> None:
    command = scope.command(GOOD, "abc")
    assert command[:3] == ["/usr/bin/systemd-run", "--user", "--scope"]
    assert "--property=Delegate=yes" in command and "--unit=cell-gateway-abc.scope" in command
    assert command[-1] == "--"


@pytest.mark.parametrize(
    "lacking",
    [
        {"is_root": True},
        {"program": None},
        {"has_manager": False},
        {"controllers": frozenset({"memory"})},
        {"lingers": False},
    ],
)
def test_no_scope_is_asked_for_where_it_would_not_help_or_would_end_with_the_login(lacking: dict[str, object]) -> None:
    assert scope.command(replace(GOOD, **lacking), "abc") == []  # type: ignore[arg-type]


def _scope_tree(root: Path) -> dict[str, Hierarchy]:
    own = root / "user.slice" / "cell-gateway-abc.scope"
    own.mkdir(parents=True)
    for name in ("cgroup.procs", "cgroup.subtree_control"):
        (own / name).touch()
    return hierarchies(f"1 1 0:1 / {root} rw - cgroup2 cgroup2 rw\n", "0::/user.slice/cell-gateway-abc.scope\n")


def test_the_supervisor_moves_below_its_scope_so_that_the_scope_hands_controllers_on(tmp_path: Path) -> None:
    found = _scope_tree(tmp_path)
    assert scope.settle(found, 4321)
    own = found[""].own
    assert (own / "supervisor" / "cgroup.procs").read_text() == "4321"
    # The kernel would add both; a file keeps what was written last.
    assert (own / "cgroup.subtree_control").read_text() == "+cpu"
    (own / "cgroup.subtree_control").write_text("cpu memory pids")
    assert cgroup_v2.parent(found) == own


def test_in_anybody_elses_group_nothing_is_moved(tmp_path: Path) -> None:
    found = hierarchies(f"1 1 0:1 / {tmp_path} rw - cgroup2 cgroup2 rw\n", "0::/\n")
    assert not scope.settle(found, 1)
    assert not scope.settle({}, 1)
