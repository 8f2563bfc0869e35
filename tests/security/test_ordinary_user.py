"""The tests of this folder once more, by a user without any right, when they run as root."""

from __future__ import annotations

import pytest

from kernel_gateway.image.store import Image
from kernel_gateway.sandbox.users import PROBE_UID
from tests.conftest import ROOT
from tests.ordinary_user import run_tests

# Another one than that of tests/sandbox, since both may run at once.
_UID = PROBE_UID + 2


@pytest.mark.timeout(900)
@pytest.mark.skipif(not ROOT, reason="this is the ordinary user's own run")
def test_all_of_it_holds_for_an_ordinary_user(image: Image) -> None:
    images = image.root.parent.parent
    done = run_tests("tests/security", _UID, images, image.root, CELL_GATEWAY_IMAGES=str(images.resolve()))
    assert done.returncode == 0
    assert " passed" in done.stdout
