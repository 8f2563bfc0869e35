"""What a session's folders take of the disk, however code inside arranged it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .beneath import FOLDER_FLAGS, Level, climb, identity_of, make_accessible, opened_folder

# A file system has about one file in so many bytes (mke2fs), so that is what a session's share of the disk is worth.
BYTES_PER_FILE = 16 * 1024
_BLOCK = 512


@dataclass
class Usage:
    """``size`` is what is allocated, in bytes: a sparse file counts for what it holds, a file of two names once."""

    size: int = 0
    files: int = 0
    _linked: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    def add(self, status: os.stat_result) -> None:
        if status.st_nlink > 1:
            identity = (status.st_dev, status.st_ino)
            if identity in self._linked:
                return
            self._linked.add(identity)
        self.size += status.st_blocks * _BLOCK
        self.files += 1

    def exceeds(self, limit: int) -> bool:
        """Whether it is more than ``limit`` bytes of a disk may hold, in bytes or in files."""
        return self.size > limit or self.files > limit // BYTES_PER_FILE


def usage_of(folders: Iterable[Path], limit: int) -> Usage:
    """Everything in and below ``folders``; a missing one counts for nothing.

    Two descriptors are open at any depth and no link is followed. It stops where there are more files than ``limit`` bytes are
    worth, so that neither time nor memory grow beyond that. Files that were removed but are still open are not seen.
    """
    usage = Usage()
    for folder in folders:
        if folder.is_dir() and not usage.exceeds(limit):
            with opened_folder(folder) as root:
                _add_tree(root, usage, limit)
    return usage


def _add_tree(root: int, usage: Usage, limit: int) -> None:
    current = os.dup(root)
    stack = [_add_folder(current, "", usage, limit)]
    try:
        while stack and usage.files <= limit // BYTES_PER_FILE:
            if not stack[-1].todo:
                stack.pop()
                current = climb(root, current, stack)
                continue
            prefix = f"{stack[-1].prefix}{stack[-1].todo.pop()}/"
            with suppress(OSError):
                below = _opened(prefix.split("/")[-2], current)
                os.close(current)
                current = below
                stack.append(_add_folder(current, prefix, usage, limit))
    finally:
        os.close(current)


def _opened(name: str, parent: int) -> int:
    try:
        return os.open(name, FOLDER_FLAGS, dir_fd=parent)
    except PermissionError:
        # Code inside may write to a folder that it made unreadable.
        make_accessible(name, parent)
        return os.open(name, FOLDER_FLAGS, dir_fd=parent)


def _add_folder(fd: int, prefix: str, usage: Usage, limit: int) -> Level:
    """Counts what lies in a folder, and tells which folders do."""
    level = Level(identity_of(fd), prefix, [])
    with os.scandir(fd) as found:
        for item in found:
            with suppress(OSError):
                usage.add(item.stat(follow_symlinks=False))
                if item.is_dir(follow_symlinks=False):
                    level.todo.append(item.name)
            if usage.files > limit // BYTES_PER_FILE:
                break
    return level
