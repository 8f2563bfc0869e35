"""The tests of this folder once more, as a user without any right, when they run as root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernel_gateway.sandbox.users import PROBE_UID
from tests.ordinary_user import closed_folders, run_tests

from .conftest import needs_root

# A uid of its own, so that nothing else counts against its process limit.
_UID = PROBE_UID + 1


@needs_root
def test_all_of_it_holds_for_an_ordinary_user() -> None:
    done = run_tests("tests/sandbox", _UID)
    assert done.returncode == 0
    assert " passed" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="this is the ordinary user's own run")
def test_a_closed_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "home" / "inner").mkdir(parents=True)
    (tmp_path / "home").chmod(0o700)
    tmp_path.chmod(0o755)
    assert tmp_path / "home" in closed_folders(tmp_path / "home" / "inner") or closed_folders(tmp_path)
