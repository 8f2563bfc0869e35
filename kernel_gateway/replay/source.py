"""A notebook as it is to be replayed: its cells with what was recorded of them, and the files it starts from.

Everything a notebook says is data. It chooses no engine, policy, mount or path of this machine; a recorded image is only looked up
among those that are here.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ..errors import BadRequest, NotFound
from ..journal import BlobStore, Record, read
from ..notebook.build import Notebook, fold
from ..notebook.outputs import mapping, sequence, text
from ..notebook.render import RAW_EXITS, SETUP_TAG
from ..notebook.setup import bash_cell, node_cell, setup_cell
from ..session.folder import SessionFolder
from .compare.model import Cell, Reference
from .inputs import Files, Input, named_files
from .packages import Installed, installed

# ``text`` is markdown; ``passed`` is kept as text by us, and not run again.
Role = Literal["code", "setup", "restart", "passed", "text"]
RESTART_TAG = "kernel-gateway-restart"


@dataclass(frozen=True)
class RecordedCell:
    """A cell and what was recorded of it. ``number`` counts all but markdown from 1 (0 for that); ``files`` are known by their hash.

    ``exit`` is one of the journal's, or ``unrun``: a person's cell that waits to be run. ``is_recorded``: it ran when the notebook was
    written, and what it gave is there. ``knows_files``: all files that it made were recorded too.
    """

    number: int
    id: str
    role: Role
    source: str
    outputs: Sequence[Mapping[str, Any]] = ()
    exit: str = "ok"
    duration: float = 0.0
    files: Mapping[str, Reference] = field(default_factory=dict[str, Reference])
    tags: tuple[str, ...] = ()
    author: str = "person"
    run: str = ""
    is_recorded: bool = False
    knows_files: bool = False
    # Its source is not that of the recorded run: a person changed it since.
    is_edited: bool = False
    # It ran, and a person took it out of the notebook.
    is_deleted: bool = False
    # What it installed with pip: the versions that a replay is held to at this cell.
    packages: tuple[Installed, ...] = ()

    @property
    def is_run(self) -> bool:
        return self.role in ("code", "restart") and bool(self.source.strip())

    def as_compared(self) -> Cell:
        return Cell(self.source, self.outputs, self.exit, files=dict(self.files))


@dataclass(frozen=True)
class Recording:
    """A notebook read. ``session`` is None for a notebook file; ``is_ours``: it holds our metadata, which may be anybody's."""

    name: str
    cells: tuple[RecordedCell, ...]
    sha256: str
    metadata: Mapping[str, Any]
    inputs: tuple[Input, ...]
    files: Files
    session: SessionFolder | None = None
    is_ours: bool = False

    @property
    def runs(self) -> list[RecordedCell]:
        """The cells that a replay runs, in order."""
        return [c for c in self.cells if c.is_run]

    @property
    def seconds(self) -> float:
        """Recorded time of all that a replay runs."""
        return sum(c.duration for c in self.runs)

    @property
    def image_digest(self) -> str:
        return text(mapping(self.metadata.get("image")).get("digest") or "")

    @property
    def lock(self) -> str:
        """A PEP 751 lock of the image's packages; empty when there is none."""
        return text(mapping(self.metadata.get("environment")).get("lock") or "")

    @property
    def python(self) -> str:
        return text(mapping(self.metadata.get("environment")).get("python") or "")

    @property
    def packages(self) -> dict[str, str]:
        found = mapping(mapping(self.metadata.get("environment")).get("packages"))
        return {text(k): text(v) for k, v in found.items()}

    def find(self, wanted: str) -> RecordedCell:
        """By number or id. Raises BadRequest."""
        cells = [c for c in self.cells if c.number]
        for cell in cells:
            if wanted == cell.id or wanted.lstrip("#") == str(cell.number):
                return cell
        raise BadRequest(
            f"There is no cell {wanted!r} in {self.name}.", f"Give a number from 1 to {len(cells)}, or a cell's id."
        )

    def without_unrun(self) -> Recording:
        """Cells that no kernel has seen yet are passed over."""
        return self.with_cells([replace(c, role="passed") if c.exit == "unrun" else c for c in self.cells])

    def origin(self) -> dict[str, str]:
        """What a session made from it says of where it comes from: no path of this machine."""
        return {"session": self.session.id if self.session else "", "notebook": self.name, "sha256": self.sha256}

    def with_cells(self, cells: Sequence[RecordedCell]) -> Recording:
        return replace(self, cells=tuple(cells))


def read_runs(session: SessionFolder) -> Recording:
    """What ran in a session, as it ran, whatever a person made of the notebook since: cells that were edited or deleted made its state.

    Cells have the numbers of the notebook; those that are not in it any more are counted on from its last one.
    """
    records, blobs = read(session.journal).records, BlobStore(session.blobs)
    ran = _recording(session, records, fold(records, blobs, edits=False))
    if not any(record["kind"] == "edit" for record in records):
        return ran
    shown = {c.id: c.number for c in _cells(fold(records, blobs), is_ours=True) if c.number}
    further = itertools.count(max(shown.values(), default=0) + 1)
    numbered = [
        replace(c, number=shown.get(c.id) or next(further), is_deleted=c.id not in shown) if c.number else c
        for c in ran.cells
    ]
    return ran.with_cells(numbered)


def read_recording(source: SessionFolder | Path) -> Recording:
    """A session from its journal, as a person left the notebook, or a notebook file.

    Raises NotFound, and BadRequest for what is no Python notebook.
    """
    if isinstance(source, SessionFolder):
        return _from_session(source)
    # nbformat and what it imports take long.
    from ..notebook.write import is_ours

    path = source.absolute()
    session = SessionFolder(path if path.is_dir() else path.parent)
    if (session.internals / "session.json").is_file() and (
        path.is_dir() or (path == session.notebook and is_ours(session))
    ):
        return _from_session(session)
    return _from_file(path)


def _from_session(session: SessionFolder) -> Recording:
    if not session.internals.is_dir():
        raise NotFound(f"{session.path} is not a session.")
    records = read(session.journal).records
    return _recording(session, records, fold(records, BlobStore(session.blobs)))


def _recording(session: SessionFolder, records: Sequence[Record], notebook: Notebook) -> Recording:
    metadata = mapping(notebook["metadata"]["kernel_gateway"])
    return Recording(
        name=session.id,
        cells=tuple(_cells(notebook, is_ours=True)),
        sha256=_digest_of(notebook),
        metadata=metadata,
        inputs=tuple(_recorded_inputs(metadata, _first_runs(records))),
        files=Files((session.workspace,), BlobStore(session.blobs)),
        session=session,
        is_ours=True,
    )


def _from_file(path: Path) -> Recording:
    from ..notebook.export import read_notebook

    if path.is_dir():
        raise BadRequest(f"{path} is a folder.", "Give an .ipynb file or a session.")
    notebook = read_notebook(path)
    _check_language(notebook, path)
    metadata = mapping(mapping(notebook["metadata"]).get("kernel_gateway"))
    is_ours = metadata.get("schema") is not None
    cells = tuple(_cells(notebook, is_ours=is_ours))
    files = Files((path.parent / "workspace", path.parent))
    inputs = list(_recorded_inputs(metadata, {}))
    known = {i.path for i in inputs}
    if not is_ours:
        inputs += [i for i in named_files([c.source for c in cells if c.number], files) if i.path not in known]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Recording(path.name, cells, digest, metadata, tuple(inputs), files, None, is_ours)


def _check_language(notebook: Mapping[str, Any], path: Path) -> None:
    metadata = mapping(notebook["metadata"])
    spec, info = mapping(metadata.get("kernelspec")), mapping(metadata.get("language_info"))
    language = text(info.get("name") or spec.get("language") or "python").lower()
    if "python" not in language:
        raise BadRequest(
            f"{path.name} is a notebook in {language}.",
            "Only Python notebooks (with bash and node cells) are replayed.",
        )


def _digest_of(notebook: Mapping[str, Any]) -> str:
    from ..notebook.write import serialize

    return hashlib.sha256(serialize(dict(notebook))).hexdigest()


def _cells(notebook: Mapping[str, Any], *, is_ours: bool) -> Iterator[RecordedCell]:
    number = 0
    for position, cell in enumerate(notebook["cells"]):
        metadata = mapping(cell.get("metadata"))
        ours = mapping(metadata.get("kernel_gateway"))
        role = _role(cell, metadata, ours, is_ours=is_ours)
        if role is None:
            continue
        number += role != "text"
        yield _cell(cell, metadata, ours, role, number if role != "text" else 0, position)


def _role(
    cell: Mapping[str, Any], metadata: Mapping[str, Any], ours: Mapping[str, Any], *, is_ours: bool
) -> Role | None:
    """None: a raw cell that is none of ours, or markdown that only goes with another cell."""
    if cell["cell_type"] == "markdown":
        return None if ours.get("kind") in ("setup", "notice", "pictures") else "text"
    if cell["cell_type"] == "raw":
        return "passed" if is_ours and ours.get("exit") in RAW_EXITS else None
    tags = sequence(metadata.get("tags"))
    if SETUP_TAG in tags and cell["source"] in (setup_cell(), bash_cell(), node_cell()):
        # Only the very text that the supervisor runs itself: a tag alone hides nothing.
        return "setup"
    if ours.get("exit") == "running":
        return "passed"
    return "restart" if RESTART_TAG in tags else "code"


def _cell(
    cell: Mapping[str, Any],
    metadata: Mapping[str, Any],
    ours: Mapping[str, Any],
    role: Role,
    number: int,
    position: int,
) -> RecordedCell:
    outputs = [dict(o) for o in sequence(cell.get("outputs"))]
    found = ours.get("exit") if role != "text" else None
    has_run = bool(outputs) or cell.get("execution_count") is not None
    if found == "unrun" and has_run:
        # Outside of our sessions.
        found = None
    files = {text(f["path"]): _reference(f) for f in map(mapping, sequence(ours.get("files"))) if f.get("path")}
    failed = any(o.get("output_type") == "error" for o in outputs)
    duration = ours.get("duration")
    return RecordedCell(
        number=number,
        id=text(cell.get("id") or f"cell-{position}"),
        role=role,
        source=cell["source"],
        outputs=outputs,
        exit=text(found) if isinstance(found, str) else "error" if failed else "ok",
        duration=float(duration) if isinstance(duration, (int, float)) and 0 <= duration < 1e9 else 0.0,
        files=files,
        tags=tuple(text(t) for t in sequence(metadata.get("tags"))),
        author="model" if ours.get("author") == "model" else "person",
        run=text(ours.get("run") or ""),
        is_recorded=(has_run or isinstance(found, str)) and found != "unrun" and ours.get("cleared") is not True,
        is_edited=role != "text" and ours.get("edited") is True,
        knows_files=bool(files) or isinstance(ours.get("turn"), str),
        packages=installed(ours.get("packages")),
    )


def _reference(file: Mapping[str, Any]) -> Reference:
    size = file.get("bytes")
    return Reference(text(file.get("sha256") or ""), size if isinstance(size, int) else 0)


def _first_runs(records: Sequence[Record]) -> dict[str, str]:
    """By input: the run before which it was first there; none for those that were there from the start."""
    waiting: list[str] = []
    found: dict[str, str] = {}
    any_run = False
    for record in records:
        if record["kind"] == "input":
            waiting.append(text(record.get("path")))
        elif record["kind"] == "start" and not record.get("hidden") and not record.get("source_kind"):
            if any_run:
                found |= {path: text(record["run"]) for path in waiting if path not in found}
            any_run = True
            waiting = []
    return found


def _recorded_inputs(metadata: Mapping[str, Any], first: Mapping[str, str]) -> Iterator[Input]:
    for one in map(mapping, sequence(metadata.get("inputs"))):
        path, digest, size = text(one.get("path") or ""), one.get("sha256"), one.get("bytes")
        if path:
            yield Input(
                path,
                text(digest) if isinstance(digest, str) else None,
                size if isinstance(size, int) else None,
                "mount" if one.get("origin") == "mount" else "upload",
                first.get(path),
            )
