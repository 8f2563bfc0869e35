"""A file that arrives piece by piece, at a place in a workspace: there whole, or not at all."""

from __future__ import annotations

import errno
import hashlib
import mimetypes
import os
import secrets
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress

from ..errors import BadRequest, FileTooLarge, NotFound, UnsafePath
from .beneath import FOLDER_FLAGS, open_beneath, opened_folder, split_path
from .files import Uploaded, disk_errors
from .folder import SessionFolder
from .policy import Policy

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Arriving:
    """Bytes go to a temporary file beside the place; `finish` gives it its name, in place of a file that has it."""

    def __init__(self, path: str, parent: int, owner: int | None, limit: int) -> None:
        self.path, self.size = path, 0
        self._name, self._parent, self._limit = split_path(path)[-1], parent, limit
        self._temporary, self._digest = f".upload-{secrets.token_hex(8)}", hashlib.sha256()
        self._fd = os.open(self._temporary, _CREATE, 0o644, dir_fd=parent)
        if owner is not None:
            os.fchown(self._fd, owner, owner)

    def write(self, data: bytes) -> None:
        """Raises FileTooLarge, DiskFull."""
        self.size += len(data)
        if self.size > self._limit:
            raise FileTooLarge(self.path, self.size, self._limit)
        self._digest.update(data)
        view = memoryview(data)
        with disk_errors():
            while view:
                view = view[os.write(self._fd, view) :]

    def finish(self) -> Uploaded:
        """Raises UnsafePath when a folder has the name."""
        try:
            os.rename(self._temporary, self._name, src_dir_fd=self._parent, dst_dir_fd=self._parent)
        except IsADirectoryError:
            raise UnsafePath(f"{self.path!r} is a folder.", "Choose another name.") from None
        mime = mimetypes.guess_type(self._name)[0] or "application/octet-stream"
        return Uploaded(self.path, self._digest.hexdigest(), self.size, mime)

    def close(self) -> None:
        os.close(self._fd)
        with suppress(FileNotFoundError):
            os.unlink(self._temporary, dir_fd=self._parent)


@contextmanager
def arriving(folder: SessionFolder, path: str, size: int | None = None) -> Generator[Arriving]:
    """``size`` in bytes, where it is known before: FileTooLarge then comes before anything is read. Folders are made.

    Raises UnsafePath for what leaves the workspace or goes through a link.
    """
    values = folder.read()
    policy, owner = Policy.from_json(values.get("policy", {})), values.get("uid")
    if size is not None and size > policy.upload:
        raise FileTooLarge(path, size, policy.upload)
    parts = split_path(path)
    if any(len(os.fsencode(p)) > 255 for p in parts) or len(os.fsencode(path)) > 4000:
        raise BadRequest("The path is too long.", "A name holds 255 bytes, a path 4,000.")
    with opened_folder(folder.workspace) as root:
        parent = _parent(root, parts[:-1], owner)
        try:
            file = Arriving("/".join(parts), parent, owner, policy.upload)
            try:
                yield file
            finally:
                file.close()
        finally:
            os.close(parent)


def _parent(root: int, parts: tuple[str, ...], owner: int | None) -> int:
    current = os.dup(root)
    for part in parts:
        try:
            with suppress(FileExistsError), disk_errors():
                os.mkdir(part, 0o755, dir_fd=current)
                fresh = os.open(part, FOLDER_FLAGS, dir_fd=current)
                if owner is not None:
                    os.fchown(fresh, owner, owner)
                os.close(fresh)
            below = os.open(part, FOLDER_FLAGS, dir_fd=current)
        except OSError as error:
            os.close(current)
            raise UnsafePath(f"{part!r} is no folder of the workspace: {error.strerror}.") from error
        os.close(current)
        current = below
    return current


def remove_file(folder: SessionFolder, path: str) -> None:
    """Remove a file or a link of the workspace, never what a link names. Raises NotFound, UnsafePath."""
    parts = split_path(path)
    with opened_folder(folder.workspace) as root:
        try:
            parent = open_beneath(root, parts[:-1], FOLDER_FLAGS) if parts[:-1] else os.dup(root)
        except OSError as error:
            raise _missing(path, error) from None
        try:
            if stat.S_ISDIR(os.stat(parts[-1], dir_fd=parent, follow_symlinks=False).st_mode):
                raise UnsafePath(f"{path!r} is a folder.", "Remove the files in it, or use a cell.")
            os.unlink(parts[-1], dir_fd=parent)
        except OSError as error:
            raise _missing(path, error) from None
        finally:
            os.close(parent)


def _missing(path: str, error: OSError) -> NotFound | UnsafePath:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        return NotFound(f"There is no file {path!r} in the workspace.", "See them with: GET …/files")
    return UnsafePath(f"{path!r} cannot be reached: {error.strerror}.", "Only plain files inside the workspace.")


def sha256_of(fd: int) -> str:
    """Of an open file from its start, whose offset it does not move."""
    digest, offset = hashlib.sha256(), 0
    while data := os.pread(fd, 1024 * 1024, offset):
        digest.update(data)
        offset += len(data)
    return digest.hexdigest()
