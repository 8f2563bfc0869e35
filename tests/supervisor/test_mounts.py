"""Folders of the machine that a session sees: read-only, not copied, and listed among its inputs."""

from __future__ import annotations

from pathlib import Path

import nbformat

from kernel_gateway.session.mounts import MountRequest
from tests.conftest import NewSession


async def test_a_mounted_folder_can_be_read_and_not_written(new_session: NewSession, tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "table.csv").write_text("a,b\n1,2\n")
    session = await new_session(mounts=[MountRequest(tmp_path / "big", "big")])
    assert (await session.python("print(open('inputs/big/table.csv').read())")).stdout == "a,b\n1,2\n\n"
    written = await session.python("open('inputs/big/table.csv', 'a')")
    assert written.ename in ("OSError", "PermissionError")


async def test_a_mount_is_an_input_of_the_notebook(new_session: NewSession, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("a\n1\n")
    session = await new_session(mounts=[MountRequest(tmp_path / "one.csv", "one.csv")])
    await session.python("open('inputs/one.csv').read()")
    await session.client.notebook()
    notebook = nbformat.read(session.folder.notebook, 4)
    assert [(i["path"], i["origin"]) for i in notebook.metadata.kernel_gateway.inputs] == [("inputs/one.csv", "mount")]
