"""The tests of this folder once more, by a user without any right, when they run as root; see tests/sandbox/test_ordinary_user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kernel_gateway.image.store import Image
from kernel_gateway.sandbox.users import PROBE_UID
from tests.conftest import ROOT
from tests.sandbox.test_ordinary_user import open_the_way

_PROJECT = Path(__file__).parents[2]
# Another one than that of tests/sandbox, since both may run at once.
_UID = PROBE_UID + 2


def become_the_user(needed: list[Path]) -> None:
    open_the_way(needed)
    os.setgroups([])
    os.setresgid(_UID, _UID, _UID)
    os.setresuid(_UID, _UID, _UID)


@pytest.mark.timeout(900)
@pytest.mark.skipif(not ROOT, reason="this is the ordinary user's own run")
def test_all_of_it_holds_for_an_ordinary_user(image: Image) -> None:
    folder = Path(tempfile.mkdtemp(prefix="cell-gateway-user-"))
    os.chown(folder, _UID, _UID)
    images = image.root.parent.parent
    places = (_PROJECT, Path(sys.prefix), Path(sys.base_prefix), images, image.root.resolve())
    needed = list(dict.fromkeys(path.resolve() for path in places))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-rs",
        "--basetemp",
        str(folder / "tmp"),
        "tests/security",
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_RUNTIME_DIR": str(folder),
        "CELL_GATEWAY_IMAGES": str(images.resolve()),
    }
    try:
        done = subprocess.run(
            command,
            cwd=_PROJECT,
            env=environment,
            preexec_fn=lambda: become_the_user(needed),
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    print(done.stdout[-20_000:], done.stderr[-5_000:])
    assert done.returncode == 0
    assert " passed" in done.stdout
