"""The cells that one run becomes: code, or raw text where plain Jupyter could not run past it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..journal import Record
from ..supervisor.runs import Output
from . import markdown
from .outputs import (
    Picture,
    count,
    mapping,
    notebook_outputs,
    picture_of,
    pictures,
    plain,
    sequence,
    text,
    without_escapes,
)

Cell = dict[str, Any]

SETUP_TAG = "kernel-gateway-setup"
# Exits after which the notebook keeps a cell as text.
RAW_EXITS = ("timeout", "interrupted", "died", "aborted")


@dataclass(frozen=True)
class CellIds:
    """The ids of a code cell and of those that may stand around it; taken together, so that a later cell cannot take one."""

    main: str
    above: str
    note: str
    pictures: str


@dataclass
class RunState:
    """What the journal has said of a run so far. ``start`` is empty while it is unknown: a damaged line may have held it."""

    run: str
    ids: CellIds | None = None
    start: Record = field(default_factory=dict[str, Any])
    # Each is of `outputs.valid_output`; updates of displays are already applied.
    items: list[Output] = field(default_factory=list[Output])
    end: Record | None = None
    death: Record | None = None
    interrupt: Record | None = None
    files: dict[str, Record] = field(default_factory=dict[str, Record])
    # Runs of the same cell before this one.
    earlier: int = 0
    # A person cleared what it had given until then.
    is_cleared: bool = False

    def clear(self) -> None:
        """As a person does who clears the cell's outputs: what comes later is shown."""
        self.items.append({"output_type": "clear_output", "wait": False})
        self.is_cleared = True
        if self.end is not None:
            self.end = {**self.end, "execution_count": None}

    @property
    def exit(self) -> str:
        """One of the journal's exits, or ``running``; what no version of ours wrote counts as died."""
        if self.end is None:
            return "died" if self.death is not None else "running"
        found = self.end.get("exit")
        return found if found in ("ok", "error", *RAW_EXITS) else "died"

    @property
    def source(self) -> str:
        return text(self.start.get("source", ""))

    @property
    def tags(self) -> list[str]:
        found = [text(t).replace(",", " ").strip() for t in sequence(self.start.get("tags")) if isinstance(t, str)]
        # A tag may hold no line break either: the schema's pattern is read differently by nbformat's two validators.
        return list(dict.fromkeys(" ".join(t.split()) for t in found if t))


def cells_of(state: RunState) -> list[Cell]:
    """The cells a run becomes, in order. A pure function of the state."""
    return list(_cells_of(state))


def _cells_of(state: RunState) -> Iterator[Cell]:
    ids = state.ids
    if ids is None:
        return
    outputs = notebook_outputs(state.items)
    if SETUP_TAG in state.tags:
        yield text_cell(ids.above, markdown.setup(_setup_kind(state)), "setup")
    if state.start and state.exit not in RAW_EXITS:
        yield _code_cell(ids.main, state, outputs)
        if said := _notice(state):
            yield text_cell(ids.note, markdown.notice(said), "notice")
    else:
        yield _raw_cell(ids.main, state, outputs)
        if kept := list(pictures(outputs)):
            yield _pictures_cell(ids.pictures, kept)


def text_cell(id_: str, source: str, kind: str, **metadata: Any) -> Cell:
    """A markdown cell; ``kind`` is prompt, words, setup, notice or pictures."""
    ours = {"kind": kind, **{k: plain(v) for k, v in metadata.items() if v is not None}}
    return {"cell_type": "markdown", "id": id_, "metadata": {"kernel_gateway": ours}, "source": source}


def _setup_kind(state: RunState) -> str:
    return text(state.start.get("source_kind") or state.start.get("cell") or "").removeprefix("setup-")


def _code_cell(id_: str, state: RunState, outputs: list[Output]) -> Cell:
    metadata = _metadata(state)
    tags = state.tags
    if state.exit == "error" and "raises-exception" not in tags:
        tags.append("raises-exception")
    if tags:
        metadata["tags"] = tags
    if SETUP_TAG in tags:
        metadata["jupyter"] = {"source_hidden": True}
    return {
        "cell_type": "code",
        "execution_count": count(mapping(state.end).get("execution_count")),
        "id": id_,
        "metadata": metadata,
        "outputs": outputs,
        "source": state.source,
    }


def _metadata(state: RunState) -> dict[str, Any]:
    start, end = state.start, mapping(state.end)
    ours: dict[str, Any] = {"run": state.run, "exit": state.exit}
    for name in ("turn", "tool", "tool_use_id", "author", "generation"):
        ours[name] = start.get(name)
    ours["duration"] = end.get("duration")
    ours["notice"] = end.get("notice")
    if state.earlier:
        ours["earlier_runs"] = state.earlier
    if state.is_cleared:
        ours["cleared"] = True
    ours["packages"] = end.get("packages")
    if state.files:
        ours["files"] = list(state.files.values())
    times = {"iopub.execute_input": start.get("time"), "shell.execute_reply": end.get("time")}
    return {
        "execution": {k: text(v) for k, v in times.items() if isinstance(v, str)},
        "kernel_gateway": {k: plain(v) for k, v in ours.items() if v is not None},
    }


def _notice(state: RunState) -> str:
    end = mapping(state.end)
    parts = [text(end["notice"])] if isinstance(end.get("notice"), str) else []
    kept, total = count_bytes(end.get("kept")), count_bytes(end.get("total"))
    # The recorder words a cut itself; this is for when it did not come to that.
    if kept < total and not any("cut" in p for p in parts):
        parts.append(markdown.cut(kept, total, _whole(end)))
    return " ".join(p for p in parts if p.strip())


def _whole(end: Record) -> str | None:
    found = end.get("whole")
    return text(found).lstrip("/").removeprefix("outputs/") if isinstance(found, str) and found else None


def count_bytes(value: Any) -> int:
    """A whole number from 0; anything else is 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _raw_cell(id_: str, state: RunState, outputs: list[Output]) -> Cell:
    metadata = _metadata(state)
    # nbconvert copies raw cells without a type into its HTML as they are, and this one holds what the kernel printed.
    metadata |= {"format": "text/plain", "raw_mimetype": "text/plain"}
    if tags := state.tags:
        metadata["tags"] = tags
    return {"cell_type": "raw", "id": id_, "metadata": metadata, "source": raw_source(state, outputs)}


def raw_source(state: RunState, outputs: list[Output]) -> str:
    """The source as it was, then the cause and the outputs as comments: made a code cell again, it runs."""
    mark = "//" if state.source.startswith("%%node") else "#"
    lines = [f"── {cause(state)} ──", *_advice(state)]
    if end_notice := _notice(state):
        lines += end_notice.split("\n")
    pictures_so_far = 0
    for output in outputs:
        shown = _output_text(output)
        if picture_of(mapping(output.get("data"))) is not None:
            pictures_so_far += 1
            shown = f"(picture {pictures_so_far}: in the next cell)\n{shown}"
        lines += [f"── {_output_name(output)} ──", *shown.rstrip("\n").split("\n")]
    comments = "\n".join(f"{mark} {line}".rstrip() for line in _single_lines(lines))
    return f"{state.source.rstrip()}\n\n{comments}" if state.source.strip() else comments


def _single_lines(lines: Iterable[str]) -> Iterator[str]:
    """A carriage return would end a comment as a line break does."""
    for line in lines:
        yield from without_escapes(line).splitlines() or [""]


def cause(state: RunState) -> str:
    """Why a run's cell is kept as text, in a few words."""
    if not state.start:
        return "the record of this run's start is damaged; this is what came of it"
    seconds = _seconds(mapping(state.end).get("duration"))
    after = f" after {seconds}" if seconds else ""
    if state.exit == "timeout":
        return f"timed out{after}"
    if state.exit == "interrupted":
        by = mapping(state.interrupt).get("by")
        return f"interrupted{after}" + (f" by {text(by)}" if isinstance(by, str) and by else "")
    if state.exit == "aborted":
        return "never ran"
    death = mapping(state.death)
    why = f": {text(death['cause'])}" if isinstance(death.get("cause"), str) else ""
    return f"the kernel died{after}{why}"


def _advice(state: RunState) -> Iterator[str]:
    if state.exit == "aborted":
        yield "It waited behind another cell when that one failed or the kernel ended. Kept as text."
    elif state.start:
        yield "Kept as text, so that the notebook runs past it; make it a code cell to try again."
    detail = mapping(state.death).get("detail")
    notice = text(mapping(state.end).get("notice") or "")
    if isinstance(detail, str) and detail and text(detail) not in notice:
        yield text(detail)
    names = [text(n) for n in sequence(mapping(state.death).get("names"))]
    if names and "Names lost" not in notice:
        yield f"Names lost: {', '.join(names)}"


def _seconds(value: Any) -> str:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < 1e9:
        return ""
    return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"


def _output_name(output: Output) -> str:
    kind = output["output_type"]
    if kind == "stream":
        return {"stdout": "output", "stderr": "error output"}.get(output["name"], "output")
    return {"error": "error", "execute_result": "result"}.get(kind, "display")


def _output_text(output: Output) -> str:
    if output["output_type"] == "stream":
        return output["text"]
    if output["output_type"] == "error":
        return "\n".join(output["traceback"]) or f"{output['ename']}: {output['evalue']}"
    data = mapping(output.get("data"))
    for mime in ("text/plain", "text/markdown", "text/latex", "text/html"):
        if mime in data:
            return text(data[mime])
    return "\n".join(f"({mime})" for mime in data)


def _pictures_cell(id_: str, kept: list[Picture]) -> Cell:
    attachments = {f"picture-{n}.{p.suffix}": {p.mime: p.data} for n, p in enumerate(kept, 1)}
    cell = text_cell(id_, "\n\n".join(markdown.pictures(attachments)), "pictures")
    return {**cell, "attachments": attachments}
