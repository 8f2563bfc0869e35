from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.errors import BadRequest, FileTooLarge, NotFound, UnsafePath
from kernel_gateway.session.files import free_names, get, listing, put
from kernel_gateway.session.folder import SessionFolder


def read(folder: SessionFolder, path: str) -> bytes:
    with get(folder, path) as file:
        return b"".join(file.chunks())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b\n1,2\n")
    return path


def test_an_upload_keeps_its_name_and_content_and_tells_its_hash(folder: SessionFolder, source: Path) -> None:
    upload = put(folder, source)
    assert (upload.top, read(folder, "data.csv")) == ("data.csv", source.read_bytes())
    (file,) = upload.files
    assert (file.sha256, file.bytes, file.mime) == (hashlib.sha256(source.read_bytes()).hexdigest(), 8, "text/csv")


def test_a_name_that_is_taken_gets_a_number(folder: SessionFolder, source: Path) -> None:
    assert [put(folder, source).top for _ in range(3)] == ["data.csv", "data (2).csv", "data (3).csv"]


def test_a_link_of_the_session_under_the_name_is_not_written_through(
    folder: SessionFolder, source: Path, tmp_path: Path
) -> None:
    (folder.workspace / "data.csv").symlink_to(tmp_path / "victim")
    assert put(folder, source).top == "data (2).csv"
    assert not (tmp_path / "victim").exists()


def test_an_upload_over_the_limit_is_refused_before_it_is_read(folder: SessionFolder, tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    big.touch()
    os.truncate(big, 1_000_001)
    with pytest.raises(FileTooLarge, match="1,000,001"):
        put(folder, big)
    assert list(folder.workspace.iterdir()) == []


def test_the_files_of_a_folder_count_together(folder: SessionFolder, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for name in "ab":
        (tmp_path / "many" / name).write_bytes(bytes(600_000))
    with pytest.raises(FileTooLarge):
        put(folder, tmp_path / "many")


def test_a_folder_arrives_whole_and_says_which_links_it_skipped(folder: SessionFolder, tmp_path: Path) -> None:
    top = tmp_path / "project"
    (top / "sub" / "empty").mkdir(parents=True)
    (top / "sub" / "x.txt").write_text("x")
    (top / "secret").symlink_to("/etc/passwd")
    os.mkfifo(top / "pipe")
    upload = put(folder, top)
    assert [f.path for f in upload.files] == ["project/sub/x.txt"]
    assert upload.skipped == [("pipe", "a fifo"), ("secret", "a link")]
    assert (folder.workspace / "project" / "sub" / "empty").is_dir()


def test_a_person_may_name_a_link_of_their_own(folder: SessionFolder, source: Path, tmp_path: Path) -> None:
    (tmp_path / "latest.csv").symlink_to(source)
    assert put(folder, tmp_path / "latest.csv").top == "latest.csv"
    assert read(folder, "latest.csv") == source.read_bytes()


@pytest.mark.parametrize("name", ["pipe", "/dev/null"])
def test_fifos_and_devices_are_no_upload(folder: SessionFolder, tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnsafePath):
        put(folder, tmp_path / name)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files to another uid")
def test_what_is_written_belongs_to_the_session_uid(folder: SessionFolder, source: Path, tmp_path: Path) -> None:
    folder.write({**folder.read(), "uid": 54321})
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").touch()
    put(folder, source)
    put(folder, tmp_path / "d")
    owners = {(folder.workspace / name).stat().st_uid for name in ("data.csv", "d", "d/f")}
    assert owners == {54321}


@pytest.mark.parametrize("path", ["../.session/session.json", "/etc/passwd", "a/../../x", "", ".", "a\0b"])
def test_a_path_cannot_leave_the_workspace(folder: SessionFolder, path: str) -> None:
    with pytest.raises(UnsafePath):
        read(folder, path)


def test_links_are_not_followed_out_or_inside(folder: SessionFolder, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "secret").write_text("host")
    (folder.workspace / "file").symlink_to(tmp_path / "real" / "secret")
    (folder.workspace / "dir").symlink_to(tmp_path / "real")
    (folder.workspace / "loop").symlink_to("loop")
    for path in ("file", "dir/secret", "loop"):
        with pytest.raises((UnsafePath, NotFound)):
            read(folder, path)


def test_what_is_no_regular_file_is_refused_without_waiting(
    folder: SessionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.workspace)
    os.mkfifo("pipe")
    Path("folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for path in ("pipe", "socket", "folder"):
            with pytest.raises(UnsafePath):
                read(folder, path)


def test_a_missing_file_is_said_to_be_missing(folder: SessionFolder) -> None:
    with pytest.raises(NotFound, match="no file"):
        read(folder, "x.txt")


def test_a_giant_that_is_mostly_hole_is_refused(folder: SessionFolder) -> None:
    (folder.workspace / "giant").touch()
    os.truncate(folder.workspace / "giant", 1 << 40)
    with pytest.raises(UnsafePath, match="claims"):
        read(folder, "giant")


def test_setuid_bits_stay_behind(folder: SessionFolder) -> None:
    (folder.workspace / "tool").touch()
    (folder.workspace / "tool").chmod(0o6755)
    with get(folder, "tool") as file:
        assert file.mode == 0o755


def test_a_file_that_grows_while_it_is_read_ends_at_its_size(folder: SessionFolder) -> None:
    path = folder.workspace / "log"
    path.write_bytes(b"x" * 10)
    with get(folder, "log") as file, path.open("ab") as growing:
        growing.write(b"y" * 10)
        growing.flush()
        assert b"".join(file.chunks()) == b"x" * 10


def test_a_file_that_shrinks_while_it_is_read_is_an_error(folder: SessionFolder) -> None:
    path = folder.workspace / "log"
    path.write_bytes(b"x" * 10)
    with get(folder, "log") as file:
        os.truncate(path, 3)
        with pytest.raises(BadRequest, match="shorter"):
            list(file.chunks())


@pytest.mark.parametrize(
    "name", [b"\xff", b"a\nb", b"\x1b[31m", b"-rf", b"x" * 255, "\u202egnp.exe".encode(), b"con", b".dot"]
)
def test_odd_names_are_listed_and_read(folder: SessionFolder, name: bytes) -> None:
    (folder.workspace / os.fsdecode(name)).write_bytes(b"odd")
    (entry,) = listing(folder)
    assert os.fsencode(entry.path) == name
    assert read(folder, entry.path) == b"odd"


@given(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
        lambda n: n not in (".", "..")
    )
)
def test_free_names_are_distinct_and_fit(name: str) -> None:
    names = [n for n, _ in zip(free_names(name), range(12), strict=False)]
    assert len(set(names)) == 12
    assert all(len(os.fsencode(n)) <= 255 and "/" not in n for n in names[1:])
