"""Files in and out of a workspace, which hostile code may change at any moment.

Everything goes down from the workspace's descriptor (`beneath`); only regular files are read or written; what we write
belongs to the session's uid. The one writer is `_create_file` and `_create_folder`.
"""

from __future__ import annotations

import errno
import hashlib
import mimetypes
import os
import secrets
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..errors import BadRequest, DiskFull, FileTooLarge, NotFound, UnsafePath
from .beneath import FILE_FLAGS, FOLDER_FLAGS, Entry, open_beneath, opened_folder, split_path, walk
from .folder import SessionFolder
from .policy import Policy

CHUNK_BYTES = 1024 * 1024
_NAME_BYTES = 255
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Uploaded:
    """A file as it lies in the workspace; ``path`` is relative to it."""

    path: str
    sha256: str
    bytes: int
    mime: str


@dataclass
class Upload:
    """What `put` did. ``top`` is the name that the file or folder got; ``skipped`` says what was left out, and why."""

    top: str
    files: list[Uploaded] = field(default_factory=list[Uploaded])
    skipped: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


@dataclass(frozen=True)
class WorkspaceFile:
    """An opened regular file. ``chunks`` gives exactly ``size`` bytes; ``mode`` has no setuid, setgid or sticky bit."""

    path: str
    size: int
    mode: int
    fd: int

    def chunks(self) -> Iterator[bytes]:
        """Raises BadRequest when the file shrinks meanwhile; what is added meanwhile is not read."""
        left = self.size
        while left:
            data = os.read(self.fd, min(left, CHUNK_BYTES))
            if not data:
                raise BadRequest(
                    f"{self.path!r} became shorter while it was read.", "Get it again when nothing writes to it."
                )
            left -= len(data)
            yield data


def put(folder: SessionFolder, source: Path, *, name: str | None = None) -> Upload:
    """Copy a file or a folder of this machine into the workspace, under its own name or ``name``, as ``name (2)`` when
    that is taken.

    Size is checked before anything is read (FileTooLarge). In a folder links and what is neither file nor folder are
    skipped. Raises NotFound, UnsafePath (a fifo, device or socket), DiskFull; nothing is left behind of a file that
    did not arrive whole.
    """
    values = folder.read()
    policy, owner = Policy.from_json(values.get("policy", {})), values.get("uid")
    writer = _Writer(owner, policy.upload, name or source.name or source.resolve().name)
    with _opened_source(source) as fd, opened_folder(folder.workspace) as root:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            return writer.put_folder(fd, root)
        return writer.put_file(fd, root)


@contextmanager
def get(folder: SessionFolder, path: str) -> Generator[WorkspaceFile]:
    """A regular file of the workspace, opened. Raises NotFound, and UnsafePath for a link, a fifo, a device, or a
    giant that is mostly hole.
    """
    policy = Policy.from_json(folder.read().get("policy", {}))
    with opened_folder(folder.workspace) as root:
        fd = _open_regular(root, path)
    try:
        status = os.fstat(fd)
        if status.st_size > policy.disk and status.st_blocks * 512 < status.st_size // 2:
            raise UnsafePath(f"{path!r} claims {status.st_size:,} bytes and holds {status.st_blocks * 512:,}.")
        yield WorkspaceFile(path, status.st_size, stat.S_IMODE(status.st_mode) & 0o777, fd)
    finally:
        os.close(fd)


def listing(folder: SessionFolder) -> Iterator[Entry]:
    """All that lies in the workspace, to any depth."""
    with opened_folder(folder.workspace) as root:
        yield from walk(root)


def _open_regular(root: int, path: str) -> int:
    try:
        fd = open_beneath(root, split_path(path), FILE_FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"There is no file {path!r} in the workspace.", "See them with: cell-gateway files ls") from None
    except OSError as error:
        reason = (
            "is or goes through a link"
            if error.errno in (errno.ELOOP, errno.EXDEV)
            else f"cannot be opened: {error.strerror}"
        )
        raise UnsafePath(f"{path!r} {reason}.", "Only plain files inside the workspace are read.") from error
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    os.close(fd)
    what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
    raise UnsafePath(f"{path!r} is {what}.", "Only plain files inside the workspace are read.")


@contextmanager
def _opened_source(source: Path) -> Generator[int]:
    """A person's own file or folder: a link that they name is theirs to follow."""
    try:
        fd = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"There is no file {str(source)!r}.") from None
    except OSError as error:
        raise BadRequest(f"{str(source)!r} cannot be read: {error.strerror}.") from error
    try:
        mode = os.fstat(fd).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise UnsafePath(f"{str(source)!r} is neither a file nor a folder.", "Save it as a file first.")
        yield fd
    finally:
        os.close(fd)


@dataclass
class _Writer:
    """One upload. ``left`` counts down, so that files that grow while a folder is copied do not pass the limit either."""

    owner: int | None
    limit: int
    name: str
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.limit
        parts = split_path(self.name)
        if len(parts) != 1:
            raise UnsafePath(f"{self.name!r} is not a name for a file in the workspace.")

    def put_file(self, source: int, root: int) -> Upload:
        self._check_size(os.fstat(source).st_size)
        uploaded = self._copy(source, root, self.name, "")
        return Upload(uploaded.path, [uploaded])

    def put_folder(self, source: int, root: int) -> Upload:
        entries = list(walk(source))
        self._check_size(sum(e.size for e in entries if e.kind == "file"))
        top, top_fd = _create_free_folder(root, self.name, self.owner)
        upload = Upload(top)
        try:
            for entry in entries:
                self._put_entry(entry, source, top_fd, upload)
        finally:
            os.close(top_fd)
        return upload

    def _put_entry(self, entry: Entry, source: int, top: int, upload: Upload) -> None:
        if entry.kind not in ("file", "folder"):
            upload.skipped.append((entry.path, f"a {entry.kind}"))
            return
        parts = split_path(entry.path)
        parent = open_beneath(top, parts[:-1], FOLDER_FLAGS) if parts[:-1] else os.dup(top)
        try:
            if entry.kind == "folder":
                os.close(_create_folder(parent, parts[-1], self.owner))
                return
            fd = open_beneath(source, parts, FILE_FLAGS)
            try:
                prefix = "".join(f"{p}/" for p in (upload.top, *parts[:-1]))
                upload.files.append(self._copy(fd, parent, parts[-1], prefix))
            finally:
                os.close(fd)
        except PermissionError:
            upload.skipped.append((entry.path, "unreadable"))
        finally:
            os.close(parent)

    def _copy(self, source: int, parent: int, name: str, prefix: str) -> Uploaded:
        """Stream into a temporary name, then give it the first free one: a half file never has the name."""
        temporary = f".upload-{secrets.token_hex(8)}"
        digest, size = hashlib.sha256(), 0
        fd = _create_file(parent, temporary, self.owner)
        try:
            with disk_errors():
                while data := os.read(source, CHUNK_BYTES):
                    self._take(len(data))
                    digest.update(data)
                    size += len(data)
                    _write_all(fd, data)
                final = _link_free(parent, temporary, name)
        finally:
            os.close(fd)
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=parent)
        mime = mimetypes.guess_type(final)[0] or "application/octet-stream"
        return Uploaded(prefix + final, digest.hexdigest(), size, mime)

    def _check_size(self, size: int) -> None:
        if size > self.limit:
            raise FileTooLarge(self.name, size, self.limit)

    def _take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise FileTooLarge(self.name, self.limit - self.left, self.limit)


def _create_file(parent: int, name: str, owner: int | None) -> int:
    fd = os.open(name, _CREATE, 0o644, dir_fd=parent)
    _give(fd, owner)
    return fd


def _create_folder(parent: int, name: str, owner: int | None) -> int:
    os.mkdir(name, 0o755, dir_fd=parent)
    fd = os.open(name, FOLDER_FLAGS, dir_fd=parent)
    _give(fd, owner)
    return fd


def _give(fd: int, owner: int | None) -> None:
    if owner is not None:
        os.fchown(fd, owner, owner)


def _create_free_folder(parent: int, name: str, owner: int | None) -> tuple[str, int]:
    for candidate in free_names(name):
        with suppress(FileExistsError):
            return candidate, _create_folder(parent, candidate, owner)
    raise AssertionError("free_names does not end")


def _link_free(parent: int, temporary: str, name: str) -> str:
    for candidate in free_names(name):
        with suppress(FileExistsError):
            os.link(temporary, candidate, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
            return candidate
    raise AssertionError("free_names does not end")


def free_names(name: str) -> Iterator[str]:
    """``name``, then ``name (2).ext``, ``name (3).ext`` and so on, shortened so that each fits a file system."""
    yield name
    path, number = PurePosixPath(name), 1
    while True:
        number += 1
        mark = f" ({number}){path.suffix}"
        stem = os.fsencode(path.stem)[: _NAME_BYTES - len(os.fsencode(mark))]
        yield os.fsdecode(stem) + mark


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@contextmanager
def disk_errors() -> Generator[None]:
    """Raises DiskFull in place of the system's errors for a full disk or quota."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("The disk that holds the session is full.", "Free some space, then try again.") from error
        raise
