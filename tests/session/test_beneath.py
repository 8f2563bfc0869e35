from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kernel_gateway.session import beneath
from kernel_gateway.session.beneath import delete_tree, open_beneath, open_stepwise, opened_folder, walk

DEPTH = 2000
Opener = Callable[..., int]


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """More nested folders than a path, a recursion or this process's descriptors can hold."""
    top = tmp_path / "deep"
    top.mkdir()
    current = os.open(top, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("folder", dir_fd=current)
        below = os.open("folder", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    os.close(os.open("end.txt", os.O_CREAT | os.O_WRONLY, dir_fd=current))
    os.close(current)
    return top


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(128, limits[0]), limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.usefixtures("few_descriptors")
def test_a_tree_of_any_depth_is_walked(deep: Path) -> None:
    with opened_folder(deep) as root:
        entries = list(walk(root))
    assert len(entries) == DEPTH + 1
    assert entries[-1].path == "folder/" * DEPTH + "end.txt"


@pytest.mark.usefixtures("few_descriptors")
def test_a_file_at_any_depth_is_opened(deep: Path) -> None:
    with opened_folder(deep) as root:
        os.close(open_beneath(root, ["folder"] * DEPTH + ["end.txt"]))


@pytest.mark.usefixtures("few_descriptors")
def test_a_tree_of_any_depth_is_deleted(deep: Path) -> None:
    delete_tree(deep)
    assert not deep.exists()


def test_deleting_leaves_what_links_point_at(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "file").write_text("kept")
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "out").symlink_to(tmp_path / "keep")
    (tmp_path / "tree" / "file").symlink_to(tmp_path / "keep" / "file")
    delete_tree(tmp_path / "tree")
    assert (tmp_path / "keep" / "file").read_text() == "kept"
    assert not (tmp_path / "tree").exists()


def test_deleting_a_link_deletes_the_link_alone(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "keep")
    delete_tree(tmp_path / "link")
    assert [p.name for p in tmp_path.iterdir()] == ["keep"]


def test_unreadable_folders_are_deleted_too(tmp_path: Path) -> None:
    (tmp_path / "tree" / "closed" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "closed" / "below").chmod(0)
    (tmp_path / "tree" / "closed").chmod(0)
    (tmp_path / "tree").chmod(0)
    delete_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_deleting_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    delete_tree(tmp_path / "nothing")


@pytest.mark.parametrize("opener", [open_beneath, open_stepwise])
def test_a_folder_swapped_for_a_link_never_leads_out(tmp_path: Path, opener: Opener) -> None:
    """The race of a hostile session: ``dir`` is by turns its own folder and a link to a folder of the machine."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "passwd").write_text("host")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "own").mkdir()
    (tmp_path / "work" / "own" / "passwd").write_text("mine")
    (tmp_path / "work" / "link").symlink_to(tmp_path / "host")
    done = threading.Event()
    swapper = threading.Thread(target=_swap, args=(tmp_path / "work", done))
    swapper.start()
    try:
        with opened_folder(tmp_path / "work") as root:
            seen = {_try_read(opener, root) for _ in range(2000)}
    finally:
        done.set()
        swapper.join()
    assert seen <= {"mine", ""}


def _swap(work: Path, done: threading.Event) -> None:
    while not done.is_set():
        for name in ("own", "link"):
            (work / name).rename(work / "dir")
            (work / "dir").rename(work / name)


def _try_read(opener: Opener, root: int) -> str:
    with suppress(OSError):
        fd = opener(root, ["dir", "passwd"])
        try:
            return os.read(fd, 100).decode()
        finally:
            os.close(fd)
    return ""


@pytest.mark.parametrize("opener", [open_beneath, open_stepwise])
def test_links_and_ways_up_are_not_opened(tmp_path: Path, opener: Opener) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "link").symlink_to("/etc")
    with opened_folder(tmp_path / "work") as root:
        for parts in (["link"], ["link", "passwd"]):
            with pytest.raises(OSError):
                opener(root, parts)


def test_a_walk_goes_on_when_a_folder_is_moved_under_it(tmp_path: Path) -> None:
    for name in ("a/b", "c"):
        (tmp_path / "work" / name).mkdir(parents=True)
        (tmp_path / "work" / name / "file").touch()
    (tmp_path / "elsewhere").mkdir()
    with opened_folder(tmp_path / "work") as root:
        seen: list[str] = []
        for entry in walk(root):
            seen.append(entry.path)
            if entry.path == "a/b/file":
                (tmp_path / "work" / "a" / "b").rename(tmp_path / "elsewhere" / "b")
    assert seen == ["a", "c", "a/b", "a/b/file", "c/file"]


def test_no_descriptor_leaks(tmp_path: Path) -> None:
    (tmp_path / "work" / "a" / "b").mkdir(parents=True)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with opened_folder(tmp_path / "work") as root:
        list(walk(root))
        next(walk(root))
        with suppress(OSError):
            open_beneath(root, ["a", "x"])
    delete_tree(tmp_path / "work")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_this_kernel_has_openat2_or_says_so(tmp_path: Path) -> None:
    with opened_folder(tmp_path) as root:
        fd = beneath._openat2(root, b".", os.O_RDONLY)
    if fd < 0:
        pytest.skip("this kernel has no openat2: only the stepwise way is tested")
    os.close(fd)
