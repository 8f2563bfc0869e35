"""A session or a notebook as a file to keep or to send: a notebook, or one HTML page."""

from __future__ import annotations

import base64
import os
import stat
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import nbformat

from ..errors import BadRequest, GatewayError, NotFound, UnsafePath
from ..journal import BlobStore, read
from ..session.beneath import open_beneath, opened_folder, split_path
from ..session.folder import SessionFolder
from .build import Notebook, fold
from .portability import Problem, problems
from .prose import Beside
from .write import is_ours, serialize, write_notebook

FORMATS = ("ipynb", "html")
# A picture that a text links is put into the page up to this size.
PICTURE_BYTES = 20 * 1024 * 1024
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"<svg", "image/svg+xml"),
    (b"<?xml", "image/svg+xml"),
)


@dataclass(frozen=True)
class Exported:
    """The file, what would keep it from running elsewhere, and what else a person should know."""

    path: Path
    problems: list[Problem]
    notices: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class _Opened:
    """A notebook in memory; ``folder`` is where its files lie, ``session`` is None for a notebook that is not ours."""

    notebook: Notebook
    folder: Path
    name: str
    session: SessionFolder | None = None
    notices: list[str] = field(default_factory=list[str])


def export(source: SessionFolder | Path, to: str, output: Path | None = None) -> Exported:
    """Write ``source`` as ``to`` (``ipynb`` or ``html``); a session is built afresh from its journal, running or not.

    Without ``output`` it goes beside the notebook, where its links to files hold. Writing is atomic. Raises NotFound, and
    BadRequest for another format or for what is no notebook.
    """
    if to not in FORMATS:
        raise BadRequest(f"There is no export to {to!r}.", f"Use one of: {', '.join(FORMATS)}")
    opened = _from_session(source) if isinstance(source, SessionFolder) else _from_path(source)
    target = _target(opened, to, output)
    if opened.session is not None and to == "ipynb" and target == opened.session.notebook:
        written = write_notebook(opened.session)
        opened.notices.extend(filter(None, [written.notice]))
    else:
        _write(target, serialize(opened.notebook) if to == "ipynb" else _page(opened, target).encode())
    return Exported(target, problems(opened.notebook, target.parent), opened.notices)


def _from_session(session: SessionFolder) -> _Opened:
    if not session.internals.is_dir():
        raise NotFound(f"{session.path} is not a session.")
    reading = read(session.journal)
    lines = ", ".join(map(str, reading.damaged[:10]))
    notices = [f"Damaged lines of the journal were left out: {lines}."] if lines else []
    return _Opened(fold(reading.records, BlobStore(session.blobs)), session.path, session.id, session, notices)


def _from_path(path: Path) -> _Opened:
    path = path.absolute()
    session = SessionFolder(path if path.is_dir() else path.parent)
    if (session.internals / "session.json").is_file() and (
        path.is_dir() or (path == session.notebook and is_ours(session))
    ):
        return _from_session(session)
    return _Opened(read_notebook(path), path.parent, path.stem)


def read_notebook(path: Path) -> Notebook:
    """A valid notebook of the newest format. What is missing, such as cell ids, is added."""
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"There is no notebook {path}.", "Name a session, or the path of an .ipynb file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{path} cannot be read as a notebook: {error}.") from error
    with warnings.catch_warnings():
        # Older notebooks have no cell ids: normalize adds them.
        warnings.simplefilter("ignore")
        try:
            found: Any = nbformat.reads(content, as_version=4)
            _, found = nbformat.validator.normalize(found, strip_invalid_metadata=True)
            nbformat.validate(found)
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError, nbformat.ValidationError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise BadRequest(f"{path} is not a valid notebook: {reason}") from error
    # From here on it is what it would be after a save with this nbformat.
    return cast("Notebook", found)


def _target(opened: _Opened, to: str, output: Path | None) -> Path:
    usual = "notebook" if opened.session is not None else opened.name
    if output is None:
        if opened.session is None and to == "ipynb":
            raise BadRequest("It is a notebook already.", "Say where to write it with -o FILE.")
        return opened.folder / f"{usual}.{to}"
    output = output.absolute()
    if output.is_dir():
        return output / f"{opened.name}.{to}"
    if not output.parent.is_dir():
        raise NotFound(f"There is no folder {output.parent}.", "Make it first.")
    return output


def _write(path: Path, data: bytes) -> None:
    try:
        fd, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise GatewayError(
            f"{path.parent} cannot be written to: {error.strerror}.", "Choose another place with -o FILE."
        ) from error
    try:
        with open(fd, "wb") as file:  # noqa: PTH123
            file.write(data)
            file.flush()
            os.fchmod(fd, 0o666 & ~_umask())
            os.fsync(fd)
        Path(temporary).replace(path)
    except OSError as error:
        raise GatewayError(f"{path} could not be written: {error.strerror}.") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    """This process's umask, which cannot be read without setting it; from /proc it can."""
    with suppress(OSError, ValueError, IndexError):
        line = next(t for t in Path("/proc/self/status").read_text().splitlines() if t.startswith("Umask:"))
        return int(line.split()[1], 8)
    return 0o077


def _page(opened: _Opened, target: Path) -> str:
    # nbconvert takes a second to import, and a notebook needs none of it.
    from .html import page

    metadata = opened.notebook["metadata"]
    title = metadata.get("title")
    beside = Beside(links=target.parent == opened.folder, picture=_pictures_below(opened.folder))
    return page(opened.notebook, title if isinstance(title, str) and title else opened.name, beside)


def _pictures_below(folder: Path) -> Callable[[str], tuple[str, str] | None]:
    """Finds pictures that a text links, beneath the folder or its workspace, never through a link."""

    def find(path: str) -> tuple[str, str] | None:
        return _picture(folder, path) or _picture(folder / "workspace", path)

    return find


def _picture(folder: Path, path: str) -> tuple[str, str] | None:
    try:
        parts = split_path(path)
        if any(part.startswith(".") for part in parts):
            return None
        with opened_folder(folder) as root:
            content = _content(open_beneath(root, parts))
    except (OSError, UnsafePath, NotFound, ValueError):
        return None
    mime = next((m for signature, m in _SIGNATURES if content.startswith(signature)), None)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        mime = "image/webp"
    return (mime, base64.b64encode(content).decode()) if mime else None


def _content(fd: int) -> bytes:
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > PICTURE_BYTES:
            return b""
        return file.read(PICTURE_BYTES)
