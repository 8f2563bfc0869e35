"""A session or a notebook file in memory, with the folder where its files lie."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import nbformat

from ..errors import BadRequest, NotFound
from ..journal import BlobStore, read
from ..session.folder import SessionFolder
from .build import Notebook, fold
from .kept import Places
from .outputs import mapping, text
from .write import is_ours


@dataclass(frozen=True)
class Opened:
    """``folder`` is where its files lie; ``session`` is None for a notebook that is not ours."""

    notebook: Notebook
    folder: Path
    name: str
    session: SessionFolder | None = None
    notices: list[str] = field(default_factory=list[str])

    @property
    def title(self) -> str:
        found = self.notebook["metadata"].get("title")
        return found if isinstance(found, str) and found else self.name

    @property
    def ours(self) -> dict[str, Any]:
        """Its metadata of ours; empty for a foreign notebook."""
        return dict(mapping(self.notebook["metadata"].get("kernel_gateway")))

    @property
    def lock(self) -> str:
        """The environment's lock (PEP 751), or an empty text."""
        return text(mapping(self.ours.get("environment")).get("lock") or "")

    def places(self) -> Places:
        """Where its files are to be looked for. Of a foreign notebook's folder nothing counts that no cell names."""
        if self.session is not None:
            session = self.session
            return Places((session.workspace,), session.outputs, session.workspace, BlobStore(session.blobs))
        beside = self.folder / "workspace"
        return Places((beside, self.folder), all_of=beside if self.ours and beside.is_dir() else None)


def open_source(source: SessionFolder | Path) -> Opened:
    """A session afresh from its journal, or a notebook file. Raises NotFound, and BadRequest for what is no notebook."""
    return _from_session(source) if isinstance(source, SessionFolder) else _from_path(source)


def _from_session(session: SessionFolder) -> Opened:
    if not session.internals.is_dir():
        raise NotFound(f"{session.path} is not a session.")
    reading = read(session.journal)
    lines = ", ".join(map(str, reading.damaged[:10]))
    notices = [f"Damaged lines of the journal were left out: {lines}."] if lines else []
    return Opened(fold(reading.records, BlobStore(session.blobs)), session.path, session.id, session, notices)


def _from_path(path: Path) -> Opened:
    path = path.absolute()
    session = SessionFolder(path if path.is_dir() else path.parent)
    if (session.internals / "session.json").is_file() and (
        path.is_dir() or (path == session.notebook and is_ours(session))
    ):
        return _from_session(session)
    return Opened(read_notebook(path), path.parent, path.stem)


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
