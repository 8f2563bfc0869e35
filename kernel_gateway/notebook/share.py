"""``share``: a session as one page to send: all that was said, run and shown, and the files themselves.

The page works from a disk, asks nobody for anything, and nothing that a kernel made can act in it (`frames`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BadRequest, NotFound, UnsafePath
from ..session.folder import SessionFolder
from .export import pictures_below, replacing
from .html import FileGroup, FileRow, page
from .kept import KeptFile, kept_files
from .markdown import human_bytes
from .opening import open_source
from .prose import Beside
from .write import serialize

# Of all files in one page, in bytes. A third more as base64: what a mail still takes, and a phone still opens.
LIMIT_BYTES = 50 * 1024**2
_TITLES = (
    ("made", "Files made"),
    ("input", "Files given"),
    ("other", "Also in the workspace"),
    ("text", "Long outputs, whole"),
)


@dataclass(frozen=True)
class Shared:
    """The page, its size in bytes, and what a person should know: files that are not in it, and why."""

    path: Path
    bytes: int
    notices: list[str] = field(default_factory=list[str])


def share(source: SessionFolder | Path, output: Path, limit: int = LIMIT_BYTES) -> Shared:
    """Write the page of a session or notebook; ``limit`` is for the files in it, in bytes. Raises NotFound and BadRequest."""
    opened = open_source(source)
    output = output.absolute()
    target = output / f"{opened.name}.html" if output.is_dir() else output
    if not target.parent.is_dir():
        raise NotFound(f"There is no folder {target.parent}.", "Make it first.")
    if target.suffix.lower() not in (".html", ".htm"):
        raise BadRequest(f"A share is one HTML page, and {target.name!r} is not named like one.", "Use -o NAME.html")
    name = f"{opened.name}.ipynb"
    groups = [FileGroup("The notebook", [_notebook_row(name, serialize(opened.notebook))])]
    groups += _groups(kept_files(opened.notebook, opened.places()), limit)
    anchors = {f"{row.place}/{row.path}": f"#{row.anchor}" for group in groups for row in group.rows}
    beside = Beside(picture=pictures_below(opened.folder), anchors=anchors)
    text = page(opened.notebook, opened.title, beside, groups).encode()
    with replacing(target) as temporary:
        temporary.write_bytes(text)
    notices = [f"{row.path}: {row.hint}" for group in groups for row in group.rows if row.hint]
    return Shared(target, len(text), [*opened.notices, *notices])


def _notebook_row(name: str, content: bytes) -> FileRow:
    digest = hashlib.sha256(content).hexdigest()
    return FileRow(name, human_bytes(len(content)), digest, _data(content), anchor="file-notebook")


def _groups(files: Sequence[KeptFile], limit: int) -> Iterator[FileGroup]:
    fitting = _fitting(files, limit)
    numbers = {id(file): number for number, file in enumerate(files, 1)}
    for role, title in _TITLES:
        rows = [_row(f, numbers[id(f)], id(f) in fitting, limit) for f in files if f.role == role]
        if rows:
            yield FileGroup(title, rows)


def _fitting(files: Iterable[KeptFile], limit: int) -> set[int]:
    """The smallest first, so that one giant costs no other its place."""
    found: set[int] = set()
    for file in sorted((f for f in files if not f.missing), key=lambda f: f.size):
        limit -= file.size
        if limit < 0:
            break
        found.add(id(file))
    return found


def _row(file: KeptFile, number: int, fits: bool, limit: int) -> FileRow:
    address, hint = "", file.missing
    if not hint and not fits:
        hint = f"Too large for this page, which holds {human_bytes(limit)} of files. It is in the zip export."
    elif not hint:
        address, hint = _content(file)
    if file.changed:
        hint = f"{hint} It has changed since it was recorded; this is what it is now.".strip()
    place = "outputs" if file.role == "text" else "workspace"
    return FileRow(file.path, human_bytes(file.size), file.sha256, address, f"file-{number}", place, hint)


def _content(file: KeptFile) -> tuple[str, str]:
    try:
        with file.opened() as source:
            content = source.read(file.size + 1)
    except (NotFound, UnsafePath, OSError) as error:
        return "", f"It could not be read: {error}"
    if hashlib.sha256(content).hexdigest() != file.sha256:
        return "", "It changed while this page was written: share again when nothing runs."
    return _data(content), ""


def _data(content: bytes) -> str:
    # Never a type that a browser would show: a file of a stranger is saved, not opened.
    return f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"
