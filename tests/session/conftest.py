from __future__ import annotations

from pathlib import Path

import pytest

from kernel_gateway.session.folder import SessionFolder
from kernel_gateway.session.policy import Policy


@pytest.fixture
def folder(tmp_path: Path) -> SessionFolder:
    """A session without a supervisor; its limits are small enough to pass."""
    session = SessionFolder(tmp_path / "sessions" / "amber-wren")
    policy = Policy(upload=1_000_000, disk=5_000_000)
    session.create({"session": session.id, "policy": policy.to_json(), "uid": None, "mounts": []})
    return session
