"""What a session takes of the disk, however code inside arranged it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernel_gateway.session.usage import BYTES_PER_FILE, usage_of
from tests.conftest import ROOT

MEGABYTE = 1024**2


def test_what_is_allocated_counts_and_not_what_a_sparse_file_claims(tmp_path: Path) -> None:
    (tmp_path / "full").write_bytes(os.urandom(3 * MEGABYTE))
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    assert 3 * MEGABYTE <= usage_of([tmp_path], 2**40).size < 4 * MEGABYTE


def test_a_file_of_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(os.urandom(MEGABYTE))
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    usage = usage_of([tmp_path], 2**40)
    assert usage.size < 2 * MEGABYTE and usage.files == 1


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(os.urandom(MEGABYTE))
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "link").symlink_to(outside)
    assert usage_of([tmp_path / "inside"], 2**40).size < MEGABYTE


def test_folders_of_any_depth_are_measured(tmp_path: Path) -> None:
    current = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=current)
        below = os.open("d", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    os.close(os.open("deep", os.O_CREAT, dir_fd=current))
    os.close(current)
    assert usage_of([tmp_path], 2**40).files == 3001


def test_more_files_than_the_limit_is_worth_are_not_counted_further(tmp_path: Path) -> None:
    for i in range(300):
        (tmp_path / str(i)).touch()
    usage = usage_of([tmp_path], 100 * BYTES_PER_FILE)
    assert usage.files == 101 and usage.exceeds(100 * BYTES_PER_FILE)


@pytest.mark.skipif(ROOT, reason="root reads every folder; it runs when an ordinary user runs the tests")
def test_a_folder_made_unreadable_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "big").write_bytes(os.urandom(MEGABYTE))
    (tmp_path / "hidden").chmod(0o300)
    assert usage_of([tmp_path], 2**40).size > MEGABYTE


def test_a_missing_folder_takes_nothing(tmp_path: Path) -> None:
    assert usage_of([tmp_path / "none"], MEGABYTE).files == 0
