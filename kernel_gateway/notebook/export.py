"""A session or a notebook as a file to keep or to send: notebook, page, script, document, or a zip of all."""

from __future__ import annotations

import base64
import os
import stat
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BadRequest, GatewayError, NotFound, UnsafePath
from ..session.beneath import open_beneath, opened_folder, split_path
from ..session.folder import SessionFolder
from .opening import Opened, open_source, read_notebook
from .portability import Problem, problems
from .prose import Beside
from .write import serialize, write_notebook

__all__ = ["FORMATS", "Exported", "export", "read_notebook", "replacing"]

FORMATS = ("ipynb", "html", "py", "pdf", "zip")
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


def export(source: SessionFolder | Path, to: str, output: Path | None = None) -> Exported:
    """Write ``source`` as ``to``, one of `FORMATS`; a session is built afresh from its journal, running or not.

    Without ``output`` it goes beside the notebook, where its links to files hold. Writing is atomic. Raises NotFound, and
    BadRequest for another format or for what is no notebook.
    """
    if to not in FORMATS:
        raise BadRequest(f"There is no export to {to!r}.", f"Use one of: {', '.join(FORMATS)}")
    opened = open_source(source)
    target = _target(opened, to, output)
    if opened.session is not None and to == "ipynb" and target == opened.session.notebook:
        written = write_notebook(opened.session)
        opened.notices.extend(filter(None, [written.notice]))
    else:
        with replacing(target) as temporary:
            _WRITERS[to](opened, temporary, target)
    return Exported(target, problems(opened.notebook, target.parent), opened.notices)


def _write_notebook(opened: Opened, file: Path, target: Path) -> None:
    file.write_bytes(serialize(opened.notebook))


def _write_page(opened: Opened, file: Path, target: Path) -> None:
    # nbconvert takes a second to import, and a notebook needs none of it.
    from .html import page

    beside = Beside(links=target.parent == opened.folder, picture=pictures_below(opened.folder))
    file.write_text(page(opened.notebook, opened.title, beside), encoding="utf-8")


def _write_script(opened: Opened, file: Path, target: Path) -> None:
    from .export_py import script

    file.write_text(script(opened.notebook, opened.title), encoding="utf-8")


def _write_document(opened: Opened, file: Path, target: Path) -> None:
    from .export_pdf import write_pdf

    opened.notices.extend(write_pdf(opened.notebook, opened.title, pictures_below(opened.folder), file))


def _write_zip(opened: Opened, file: Path, target: Path) -> None:
    from .bundle import write_bundle

    opened.notices.extend(write_bundle(opened, file).notices)


_WRITERS: dict[str, Callable[[Opened, Path, Path], None]] = {
    "ipynb": _write_notebook,
    "html": _write_page,
    "py": _write_script,
    "pdf": _write_document,
    "zip": _write_zip,
}


def _target(opened: Opened, to: str, output: Path | None) -> Path:
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


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A file to write that takes the place of ``path`` when all went well, durably; else nothing is left of it."""
    try:
        fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise GatewayError(
            f"{path.parent} cannot be written to: {error.strerror}.", "Choose another place with -o FILE."
        ) from error
    temporary = Path(name)
    try:
        os.fchmod(fd, 0o666 & ~_umask())
        yield temporary
        os.fsync(fd)
        temporary.replace(path)
    except OSError as error:
        raise GatewayError(f"{path} could not be written: {error.strerror}.") from error
    finally:
        os.close(fd)
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    """This process's umask, which cannot be read without setting it; from /proc it can."""
    with suppress(OSError, ValueError, IndexError):
        line = next(t for t in Path("/proc/self/status").read_text().splitlines() if t.startswith("Umask:"))
        return int(line.split()[1], 8)
    return 0o077


def pictures_below(folder: Path) -> Callable[[str], tuple[str, str] | None]:
    """A search for pictures that a text links, beneath the folder or its workspace, never through a link."""

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
