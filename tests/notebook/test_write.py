"""The notebook on disk: whole at every moment, newest wins, a person's edit is never lost."""

from __future__ import annotations

import base64
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import nbjson

from kernel_gateway.errors import DiskFull, NotFound
from kernel_gateway.journal import Journal
from kernel_gateway.notebook.build import Fold, fold
from kernel_gateway.notebook.write import is_ours, picture_names, serialize, write_notebook
from kernel_gateway.session.folder import SessionFolder

from .journals import PNG, Script, display, stdout

Create = Callable[[Script], SessionFolder]


def append(folder: SessionFolder, text: str) -> None:
    journal = Journal(folder.journal)
    journal.append("words", cell=f"w{journal.seq}", text=text)
    journal.close()


def sources(folder: SessionFolder) -> list[str]:
    return [cell.source for cell in nbformat.read(folder.notebook, 4).cells]


def files(folder: SessionFolder) -> set[str]:
    return {p.name for p in folder.path.iterdir()}


def test_what_is_written_is_valid_and_byte_for_byte_what_nbformat_writes(
    small_session: Script, session_folder: Create
) -> None:
    folder = session_folder(small_session)
    written = write_notebook(folder)
    assert written.path == folder.notebook
    data = written.path.read_bytes()
    notebook = nbformat.read(written.path, 4)
    nbformat.validate(notebook)
    assert data.decode() == nbjson.writes(notebook) + "\n"


def test_an_empty_notebook_too_is_written_as_nbformat_does() -> None:
    notebook = fold([])
    assert serialize(notebook).decode() == nbjson.writes(nbformat.from_dict(notebook)) + "\n"


def test_the_same_journal_gives_the_same_bytes(small_session: Script) -> None:
    assert serialize(fold(small_session.records)) == serialize(fold(small_session.records))


def test_the_notebook_is_readable_for_all_whatever_the_umask(small_session: Script, session_folder: Create) -> None:
    folder = session_folder(small_session)
    before = os.umask(0o077)
    try:
        write_notebook(folder)
    finally:
        os.umask(before)
    assert folder.notebook.stat().st_mode & 0o777 == 0o644


def test_pictures_lie_beside_it_by_cell_number(small_session: Script, session_folder: Create) -> None:
    folder = session_folder(small_session)
    write_notebook(folder)
    assert {p.name for p in folder.pictures.iterdir()} == {"6-1.png", "9-1.png"}
    assert (folder.pictures / "6-1.png").read_bytes() == base64.b64decode(PNG)
    assert next((c, n) for c, n, _ in picture_names(fold(small_session.records))) == ("plot", "6-1.png")


def test_a_picture_that_is_gone_from_the_notebook_goes_and_a_persons_stays(
    script: Script, session_folder: Create
) -> None:
    script.run("plot()", display({"image/svg+xml": "<svg/>"}), cell="c")
    folder = session_folder(script)
    write_notebook(folder)
    assert (folder.pictures / "1-1.svg").read_text() == "<svg/>"
    (folder.pictures / "mine.png").write_bytes(b"x")
    journal = Journal(folder.journal)
    journal.append("start", run="again", cell="c", source="pass")
    journal.close()
    write_notebook(folder)
    assert {p.name for p in folder.pictures.iterdir()} == {"mine.png"}


def test_writing_again_leaves_the_file_alone_when_nothing_happened(
    small_session: Script, session_folder: Create
) -> None:
    folder = session_folder(small_session)
    write_notebook(folder)
    before = folder.notebook.stat()
    write_notebook(folder)
    assert folder.notebook.stat().st_ino == before.st_ino


def test_a_persons_edit_is_kept_aside_and_told(small_session: Script, session_folder: Create) -> None:
    folder = session_folder(small_session)
    write_notebook(folder)
    assert is_ours(folder)
    for number in (1, 2):
        edited = f"my work {number}".encode()
        folder.notebook.write_bytes(edited)
        assert not is_ours(folder)
        append(folder, "more")
        written = write_notebook(folder)
        kept = folder.path / f"notebook.edited-{number}.ipynb"
        assert kept.read_bytes() == edited
        assert written.notice is not None
        assert kept.name in written.notice
    assert sources(folder)[-1] == "more"
    assert write_notebook(folder).notice is None


def test_a_notebook_that_was_there_before_ours_is_kept_aside(small_session: Script, session_folder: Create) -> None:
    folder = session_folder(small_session)
    folder.notebook.write_text("{}")
    assert write_notebook(folder).notice
    assert (folder.path / "notebook.edited-1.ipynb").read_text() == "{}"


def test_a_link_in_its_place_is_moved_aside_and_what_it_points_to_is_untouched(
    small_session: Script, session_folder: Create, tmp_path: Path
) -> None:
    folder = session_folder(small_session)
    target = tmp_path / "precious"
    target.write_text("precious")
    folder.notebook.symlink_to(target)
    assert write_notebook(folder).notice
    assert target.read_text() == "precious"
    assert not folder.notebook.is_symlink()


@pytest.mark.parametrize("moment", ["before the replace", "after the replace"])
def test_a_crash_around_the_replace_makes_no_false_edit(
    small_session: Script, session_folder: Create, moment: str
) -> None:
    folder = session_folder(small_session)
    write_notebook(folder)
    old = folder.notebook.read_bytes()
    append(folder, "more")
    write_notebook(folder)
    if moment == "before the replace":
        # The hash is written first: a crash in between leaves the older file beside the newer hash.
        folder.notebook.write_bytes(old)
    append(folder, "and more")
    assert write_notebook(folder).notice is None
    assert sources(folder)[-1] == "and more"
    assert not [name for name in files(folder) if "edited" in name]


def test_an_older_fold_is_not_written_over_a_newer_notebook(small_session: Script, session_folder: Create) -> None:
    folder = session_folder(small_session)
    older = Fold()
    for record in small_session.records:
        older.add(record)
    append(folder, "newer")
    write_notebook(folder)
    assert write_notebook(folder, older).seq == len(small_session.records)
    assert sources(folder)[-1] == "newer"


def test_writers_at_once_leave_everything_acknowledged_in_the_notebook(script: Script, session_folder: Create) -> None:
    folder = session_folder(script)
    journal = Journal(folder.journal)

    def record_and_write(number: int) -> None:
        journal.append("words", cell=f"w{number}", text=f"word {number}")
        write_notebook(folder)
        assert f"word {number}" in sources(folder)

    for start in range(0, 12, 4):
        with ThreadPoolExecutor(1) as writer:
            other = writer.submit(write_notebook, folder)
            for number in range(start, start + 4):
                record_and_write(number)
            other.result()
    journal.close()
    assert sources(folder) == [f"word {n}" for n in range(12)]
    assert files(folder) == {".session", "notebook.ipynb", "outputs", "pictures", "workspace"}


def test_on_a_full_disk_the_old_notebook_stays_whole(script: Script, session_folder: Create) -> None:
    script.run("x", stdout("small\n"))
    folder = session_folder(script)
    write_notebook(folder)
    before = folder.notebook.read_bytes()
    journal = Journal(folder.journal)
    journal.append("words", cell="w", text="y" * 60_000)
    journal.close()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(DiskFull):
            write_notebook(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert folder.notebook.read_bytes() == before
    assert write_notebook(folder).notice is None


def test_a_folder_that_is_no_session_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        write_notebook(SessionFolder(tmp_path))


def child(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kernel_gateway.notebook.write", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])


def test_the_child_process_writes_it_and_says_only_what_there_is_to_tell(
    small_session: Script, session_folder: Create
) -> None:
    folder = session_folder(small_session)
    done = child(folder.path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert json.loads(folder.notebook.read_bytes())["nbformat"] == 4
    folder.notebook.write_text("edited")
    assert "notebook.edited-1.ipynb" in child(folder.path).stdout


def test_the_child_process_tells_an_error_in_words(tmp_path: Path) -> None:
    done = child(tmp_path)
    assert done.returncode == 2
    assert "is not a session" in done.stderr
    assert "Traceback" not in done.stderr
