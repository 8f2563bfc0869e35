from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from kernel_gateway.agent import changes
from kernel_gateway.agent.changes import WorkspaceChanges, known_files
from kernel_gateway.session.beneath import delete_tree


async def _changes(root: Path) -> WorkspaceChanges:
    seen = WorkspaceChanges(root)
    await seen.look()
    return seen


async def test_new_changed_and_replaced_files_are_listed_and_others_are_not(tmp_path: Path) -> None:
    for name in ("same", "grows", "replaced"):
        (tmp_path / name).write_text("1")
    seen = await _changes(tmp_path)
    (tmp_path / "grows").write_text("22")
    (tmp_path / "other").write_text("x")
    (tmp_path / "other").replace(tmp_path / "replaced")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "new").write_text("3")
    files, total = await seen.scan()
    assert [f["path"] for f in files] == ["grows", "replaced", "sub/new"]
    assert files[0] == {"path": "grows", "bytes": 2, "sha256": hashlib.sha256(b"22").hexdigest()}
    assert total == 3
    assert await seen.scan() == ([], 0)


async def test_hidden_folders_and_package_folders_are_left_out(tmp_path: Path) -> None:
    seen = await _changes(tmp_path)
    for folder in (".git", "node_modules", "__pycache__"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x").write_text("x")
    (tmp_path / ".env").write_text("x")
    assert [f["path"] for f in (await seen.scan())[0]] == [".env"]


async def test_links_fifos_and_what_they_lead_to_are_not_read(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("s")
    seen = await _changes(root)
    (root / "file").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    os.mkfifo(root / "fifo")
    assert await seen.scan() == ([], 0)


async def test_the_list_is_capped_and_the_number_is_whole(tmp_path: Path) -> None:
    seen = await _changes(tmp_path)
    for number in range(60):
        (tmp_path / f"{number:02}").touch()
    files, total = await seen.scan()
    assert (len(files), total) == (50, 60)


async def test_a_large_file_has_no_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "HASHED_BYTES", 10)
    seen = await _changes(tmp_path)
    (tmp_path / "large").write_bytes(b"x" * 11)
    assert (await seen.scan())[0][0]["sha256"] is None


async def test_a_tree_deeper_than_any_path_is_looked_into_as_far_as_is_quick(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    seen = await _changes(root)
    folder = os.open(root, os.O_RDONLY)
    for level in range(2100):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
        if level in (50, 2099):
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    files, total = await seen.scan()
    assert ([f["path"] for f in files], total) == (["d/" * 51 + "file"], 1)
    delete_tree(root)


async def test_a_name_that_is_no_utf8_is_listed(tmp_path: Path) -> None:
    seen = await _changes(tmp_path)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xffd")).write_text("x")
    assert (await seen.scan())[0][0]["path"] == "b\ufffdd"


async def test_files_that_the_journal_knows_are_not_new_after_a_fresh_start(tmp_path: Path) -> None:
    (tmp_path / "told").write_text("1")
    (tmp_path / "changed").write_text("22")
    digest = hashlib.sha256(b"1").hexdigest()
    records = [
        {"kind": "input", "path": "changed", "bytes": 1, "sha256": digest},
        {"kind": "files", "run": "r", "files": [{"path": "told", "bytes": 1, "sha256": digest}], "total": 1},
    ]
    seen = WorkspaceChanges(tmp_path, known_files(records))
    assert [f["path"] for f in (await seen.scan())[0]] == ["changed"]
