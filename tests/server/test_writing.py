"""What a person saves, moves, copies and deletes stays in the session, whatever code inside makes of its folders meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from tornado import web

from kernel_gateway.server.contents import SessionContents
from kernel_gateway.session.folder import SessionFolder

SECONDS = 3.0
SPACE = "amber/workspace"


@pytest.fixture
def session(tmp_path: Path) -> SessionFolder:
    folder = SessionFolder(tmp_path / "sessions" / "amber")
    folder.create({"session": "amber", "created": "2026", "uid": 4242})
    return folder


@pytest.fixture
def contents(session: SessionFolder) -> SessionContents:
    return SessionContents(root_dir=str(session.path.parent))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What is nobody's but the person's."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("kept.txt", "kept.ipynb", ".~kept.ipynb"):
        (folder / name).write_text("secret")
    (folder / "empty").mkdir()
    return folder


def text(content: str = "planted") -> dict[str, Any]:
    return {"type": "file", "format": "text", "content": content}


@contextmanager
def swapping(folder: Path, outside: Path) -> Iterator[None]:
    """A thread of the enemy's: the folder is a folder, is a link out of the session, and again."""
    ended, aside = threading.Event(), folder.with_name("aside")

    def swap() -> None:
        while not ended.is_set():
            folder.rename(aside)
            folder.symlink_to(outside)
            folder.unlink()
            aside.rename(folder)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def everything(folder: Path) -> dict[str, bytes | None]:
    return {str(p): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


async def test_links_that_come_and_go_lead_no_operation_out(
    contents: SessionContents, session: SessionFolder, outside: Path
) -> None:
    folder = session.workspace / "d"
    (folder / "empty").mkdir(parents=True)
    book = {"type": "notebook", "format": "json", "content": nbformat.v4.new_notebook()}
    operations: list[Callable[[], Any]] = [
        lambda: contents.save(text(), f"{SPACE}/d/kept.txt"),
        lambda: contents.save({**text(), "chunk": 2}, f"{SPACE}/d/kept.txt"),
        lambda: contents.save(book, f"{SPACE}/d/kept.ipynb"),
        lambda: contents.save({"type": "directory"}, f"{SPACE}/d/new"),
        lambda: contents.rename(f"{SPACE}/d/kept.txt", f"{SPACE}/d/moved.txt"),
        lambda: contents.rename(f"{SPACE}/d/moved.txt", f"{SPACE}/taken.txt"),
        lambda: contents.delete(f"{SPACE}/d/kept.ipynb"),
        lambda: contents.delete(f"{SPACE}/d/empty"),
        lambda: contents.copy(f"{SPACE}/d", SPACE),
    ]
    before, done, until = everything(outside), 0, time.monotonic() + SECONDS
    with swapping(folder, outside):
        while time.monotonic() < until:
            for operation in operations:
                try:
                    await operation()
                    done += 1
                except (web.HTTPError, OSError):
                    # It came upon the link, or what it needs is not there.
                    continue
    assert everything(outside) == before
    assert done > 0
    written = [p.read_bytes() for p in session.workspace.rglob("*") if p.is_file() and not p.is_symlink()]
    assert b"secret" not in written


async def test_no_link_is_written_through_or_copied(
    contents: SessionContents, session: SessionFolder, outside: Path
) -> None:
    before = everything(outside)
    (session.workspace / "tree").mkdir()
    for name in ("tree/link.txt", "out", ".ipynb_checkpoints"):
        (session.workspace / name).symlink_to(outside / "kept.txt" if name.endswith("txt") else outside)
    for refused in (contents.save(text(), f"{SPACE}/out/kept.txt"), contents.save(text(), f"{SPACE}/tree/link.txt")):
        with pytest.raises(web.HTTPError):
            await refused
    book = {"type": "notebook", "format": "json", "content": nbformat.v4.new_notebook()}
    await contents.save(book, f"{SPACE}/kept.ipynb")
    await contents.copy(f"{SPACE}/tree", SPACE)
    assert list((session.workspace / "tree-Copy1").iterdir()) == []
    assert everything(outside) == before


async def test_a_file_is_saved_read_moved_copied_and_deleted(contents: SessionContents, session: SessionFolder) -> None:
    await contents.save({"type": "directory"}, f"{SPACE}/sub")
    await contents.save({**text("one "), "chunk": 1}, f"{SPACE}/sub/a.txt")
    await contents.save({**text("two"), "chunk": -1}, f"{SPACE}/sub/a.txt")
    (session.workspace / "sub" / "a.txt").chmod(0o640)
    await contents.save(text("one two"), f"{SPACE}/sub/a.txt")
    status = (session.workspace / "sub" / "a.txt").stat()
    assert status.st_mode & 0o777 == 0o640
    assert os.getuid() != 0 or status.st_uid == (session.workspace / "sub").stat().st_uid == 4242
    await contents.rename(f"{SPACE}/sub/a.txt", f"{SPACE}/sub/b.txt")
    await contents.copy(f"{SPACE}/sub", SPACE)
    assert (await contents.get(f"{SPACE}/sub-Copy1/b.txt"))["content"] == "one two"
    with pytest.raises(web.HTTPError, match="409"):
        await contents.rename(f"{SPACE}/sub", f"{SPACE}/sub-Copy1")
    with pytest.raises(web.HTTPError, match="400"):
        await contents.delete(f"{SPACE}/sub")
    await contents.delete(f"{SPACE}/sub/b.txt")
    await contents.delete(f"{SPACE}/sub")
    assert sorted(p.name for p in session.workspace.iterdir()) == ["sub-Copy1"]


async def test_a_notebook_is_restored_from_its_checkpoint_which_is_internal(
    contents: SessionContents, session: SessionFolder
) -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    model = {"type": "notebook", "format": "json", "content": book}
    await contents.save(model, f"{SPACE}/nb.ipynb")
    book.cells[0].source = "2"
    await contents.save(model, f"{SPACE}/nb.ipynb")
    (checkpoint,) = await contents.list_checkpoints(f"{SPACE}/nb.ipynb")
    await contents.restore_checkpoint(checkpoint["id"], f"{SPACE}/nb.ipynb")
    assert (await contents.get(f"{SPACE}/nb.ipynb"))["content"].cells[0].source == "1"
    assert sorted(p.name for p in session.workspace.iterdir()) == ["nb.ipynb"]
    await contents.rename(f"{SPACE}/nb.ipynb", f"{SPACE}/other.ipynb")
    assert await contents.list_checkpoints(f"{SPACE}/other.ipynb")
    for path in ("../../etc/passwd", f"{SPACE}/../../x", "amber/.session/x"):
        with pytest.raises(web.HTTPError, match="404"):
            await contents.list_checkpoints(path)
