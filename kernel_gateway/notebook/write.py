"""Put the notebook and its pictures on disk, where a person finds them: atomically, and never over a person's edit.

``python -m kernel_gateway.notebook.write FOLDER`` does it in a process of its own. It prints what there is to tell, usually nothing.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DiskFull, GatewayError, NotFound
from ..journal import BlobStore, read
from ..session.folder import SessionFolder
from .build import Fold, Notebook
from .harmless import is_harmless
from .outputs import PICTURES, Picture, mapping, pictures, sequence

_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Written:
    """What is on disk now: ``seq`` is the last record it holds; ``notice`` is for a person, or None."""

    path: Path
    seq: int
    notice: str | None = None


def write_notebook(folder: SessionFolder, folded: Fold | None = None) -> Written:
    """Write ``notebook.ipynb`` and ``pictures/`` from the journal, or from a fold of it that is at hand.

    One writer at a time (flock on ``.session/notebook.lock``), durable on return. A fold older than what is on disk is not
    written. A notebook that is not as we wrote it is a person's: it is first kept as ``notebook.edited-<n>.ipynb`` and the
    notice says so. Raises NotFound when this is no session, JournalDamaged, DiskFull.
    """
    with _locked(folder), _disk_errors():
        if folded is None:
            folded = Fold(BlobStore(folder.blobs))
            for record in read(folder.journal).records:
                folded.add(record)
        elif folded.seq < _State.load(folder).seq:
            return Written(folder.notebook, _State.load(folder).seq)
        notebook = folded.notebook()
        notice = _write_file(folder, serialize(notebook), folded.seq)
        _write_pictures(folder, notebook)
        return Written(folder.notebook, folded.seq, notice)


def serialize(notebook: Notebook) -> bytes:
    """The bytes that nbformat itself would write: opening and saving in Jupyter changes nothing."""
    return b"".join(_pieces(notebook))


def _pieces(notebook: Notebook) -> Iterator[bytes]:
    """Cell by cell: the pieces that json makes of a whole notebook take several times its size."""
    yield b'{\n "cells": ['
    before, end = b"\n  ", b"]"
    for cell in notebook["cells"]:
        yield before + _json(_split(cell), 2)
        before, end = b",\n  ", b"\n ]"
    yield end
    for key in ("metadata", "nbformat", "nbformat_minor"):
        yield b',\n "' + key.encode() + b'": ' + _json(notebook[key], 1)
    yield b"\n}\n"


def _json(value: Any, depth: int) -> bytes:
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, separators=(",", ": "))
    # Within a JSON string there is no line break.
    return text.encode().replace(b"\n", b"\n" + b" " * depth)


def _split(cell: dict[str, Any]) -> dict[str, Any]:
    cell = {**cell, "source": cell["source"].splitlines(True)}
    if "outputs" in cell:
        cell["outputs"] = [_split_output(output) for output in cell["outputs"]]
    return cell


def _split_output(output: dict[str, Any]) -> dict[str, Any]:
    if output["output_type"] == "stream":
        return {**output, "text": output["text"].splitlines(True)}
    if "data" in output:
        return {**output, "data": {k: _split_value(k, v) for k, v in output["data"].items()}}
    return output


def _split_value(mime: str, value: Any) -> Any:
    splits = mime.startswith("text/") or mime in ("application/javascript", "image/svg+xml")
    return value.splitlines(True) if splits and isinstance(value, str) else value


def picture_names(notebook: Notebook) -> Iterator[tuple[str, str, Picture]]:
    """Each picture of the notebook: the id of its cell, its file name in ``pictures/`` (cell number, dash, number in it), and itself."""
    for number, cell in enumerate(notebook["cells"], 1):
        for n, picture in enumerate(_pictures_of(cell), 1):
            yield cell["id"], f"{number}-{n}.{picture.suffix}", picture


def _pictures_of(cell: dict[str, Any]) -> Iterator[Picture]:
    yield from pictures(sequence(cell.get("outputs")))
    if mapping(cell["metadata"].get("kernel_gateway")).get("kind") == "pictures":
        for bundle in mapping(cell.get("attachments")).values():
            yield from (Picture(mime, data) for mime, data in bundle.items() if mime in PICTURES)


@contextmanager
def _locked(folder: SessionFolder) -> Generator[None]:
    try:
        fd = os.open(folder.internals / "notebook.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise NotFound(f"{folder.path} is not a session.") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def _disk_errors() -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise DiskFull(
            "The disk is full: the notebook could not be written.", "Free some space; the journal holds everything."
        ) from error


@dataclass(frozen=True)
class _State:
    """What ``.session/notebook.sha256`` says: the hashes of the files we wrote, newest first, and the newest's last record.

    It is written before the notebook is, so that a notebook written just before a crash is known as ours: hence two hashes.
    """

    hashes: tuple[str, ...] = ()
    seq: int = -1

    @classmethod
    def load(cls, folder: SessionFolder) -> _State:
        try:
            first, *rest = (folder.internals / "notebook.sha256").read_text().splitlines()
            digest, seq = first.split()
            return cls((digest, *rest), int(seq))
        except (OSError, ValueError):
            return cls()

    def save(self, folder: SessionFolder) -> None:
        first, *rest = self.hashes
        lines = [f"{first} {self.seq}", *rest]
        _replace(folder.internals / "notebook.sha256", ("\n".join(lines) + "\n").encode(), folder.internals)


def is_ours(folder: SessionFolder) -> bool:
    """Whether ``notebook.ipynb`` is as we wrote it (or missing), rather than edited by a person."""
    return _digest(folder.notebook) in (None, *_State.load(folder).hashes)


def _write_file(folder: SessionFolder, data: bytes, seq: int) -> str | None:
    digest, known, found = hashlib.sha256(data).hexdigest(), _State.load(folder), _digest(folder.notebook)
    if found == digest:
        _State((digest,), seq).save(folder)
        return None
    temporary = folder.internals / "notebook.new"
    _write_durably(temporary, data)
    # Once more: a person may have saved while we wrote.
    found = _digest(folder.notebook)
    notice = _keep_aside(folder) if found not in (None, digest, *known.hashes) else None
    _State((digest, *(h for h in known.hashes if h == found)), seq).save(folder)
    temporary.replace(folder.notebook)
    _fsync(folder.path)
    return notice


def _keep_aside(folder: SessionFolder) -> str:
    number = 1
    while os.path.lexists(kept := folder.path / f"notebook.edited-{number}.ipynb"):
        number += 1
    folder.notebook.rename(kept)
    return f"notebook.ipynb had been edited; the edited file is kept as {kept.name}."


def _digest(path: Path) -> str | None:
    """None when there is nothing; a text that is no hash for what is not a plain file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        return "not a file"
    digest = hashlib.sha256()
    with open(fd, "rb") as file:  # noqa: PTH123
        try:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        except IsADirectoryError:
            return "not a file"
    return digest.hexdigest()


def _write_durably(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with open(fd, "wb") as file:  # noqa: PTH123
        # Whatever the umask: a person reads it who may not be the session's user.
        os.fchmod(fd, 0o644)
        file.write(data)
        file.flush()
        os.fsync(fd)


def _replace(path: Path, data: bytes, scratch: Path) -> None:
    temporary = scratch / f"{path.name}.new"
    _write_durably(temporary, data)
    temporary.replace(path)


def _fsync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_pictures(folder: SessionFolder, notebook: Notebook) -> None:
    """Make ``pictures/`` what the notebook shows, less what could harm who opens it. Files that we did not put there stay as they are."""
    record = folder.internals / "pictures.json"
    try:
        before = mapping(json.loads(record.read_bytes()))
    except (OSError, ValueError):
        before = {}
    now: dict[str, str] = {}
    for _, name, picture in picture_names(notebook):
        if not is_harmless(picture):
            continue
        now[name] = hashlib.sha256(picture.data.encode()).hexdigest()
        path = folder.pictures / name
        if before.get(name) != now[name] or not path.exists():
            folder.pictures.mkdir(mode=0o755, exist_ok=True)
            _replace(path, base64.b64decode(picture.data), folder.internals)
    for name in before.keys() - now.keys():
        (folder.pictures / name).unlink(missing_ok=True)
    if now != before:
        _replace(record, json.dumps(now).encode(), folder.internals)


def main(arguments: list[str]) -> int:
    """The child process: exit 0, or the error's exit code with its text on stderr."""
    try:
        written = write_notebook(SessionFolder(Path(arguments[0]).absolute()))
    except GatewayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if written.notice:
        print(written.notice)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
