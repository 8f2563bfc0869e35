"""A run: one execution of a cell. What a front end asks for, and what it gets back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..journal import BlobStore, Record, internalize

ExitKind = Literal["ok", "error", "timeout", "interrupted", "died", "aborted"]
Language = Literal["bash", "node"]
Output = dict[str, Any]
# Bytes of one line on the control socket.
LINE_LIMIT = 256 * 1024 * 1024


@dataclass(frozen=True)
class RunRequest:
    """``run`` is the caller's key and executes at most once (P7); ``cell`` is the notebook cell's id (1 to 64 of [A-Za-z0-9_-]).

    ``needs`` names the languages whose setup cell must have run before; the supervisor runs it first as a cell of its own when it has not.
    """

    run: str
    cell: str
    source: str
    author: Literal["model", "person"] = "model"
    tool: str = "python"
    turn: str | None = None
    tool_use_id: str | None = None
    timeout: float | None = None
    needs: Sequence[Language] = ()
    tags: Sequence[str] = ()
    # Recorded, but no cell of the notebook; it counts as history all the same, unlike a client's silent request.
    hidden: bool = False
    # ``name==version``: what pip may install while it runs, where it installs that package at all.
    pins: Sequence[str] = ()


@dataclass
class RunResult:
    """What the journal holds of a run. ``outputs`` are nbformat outputs, with updates and clears applied and streams joined."""

    run: str
    cell: str
    exit: ExitKind
    outputs: list[Output] = field(default_factory=list)
    execution_count: int | None = None
    duration: float = 0.0
    ename: str | None = None
    evalue: str | None = None
    # Bytes of stream text in the notebook, and in all; when they differ, ``whole`` is the path of the rest below ``/outputs``.
    kept: int = 0
    total: int = 0
    whole: str | None = None
    # What the caller must be told: the cause of a death and the names that are gone, a cut output, a restart.
    notice: str | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    # What it changed of the Python packages: ``installed`` and ``removed``.
    packages: dict[str, Any] | None = None

    @property
    def stdout(self) -> str:
        return self._stream("stdout")

    @property
    def stderr(self) -> str:
        return self._stream("stderr")

    def _stream(self, name: str) -> str:
        return "".join(o["text"] for o in self.outputs if o["output_type"] == "stream" and o["name"] == name)

    @classmethod
    def from_records(cls, run: str, records: Iterable[Record], blobs: BlobStore | None = None) -> RunResult | None:
        """None while the run has not ended."""
        mine = [r for r in records if r.get("run") == run]
        end = next((r for r in mine if r["kind"] == "end"), None)
        if end is None:
            return None
        result = cls(run, next((r["cell"] for r in mine if r["kind"] == "start"), ""), end["exit"])
        for name in ("execution_count", "duration", "ename", "evalue", "kept", "total", "whole", "notice", "packages"):
            if end.get(name) is not None:
                setattr(result, name, end[name])
        result.outputs = fold_outputs(
            internalize(o, blobs) for r in mine if r["kind"] == "output" for o in r["outputs"]
        )
        result.files = [f for r in mine if r["kind"] == "files" for f in r["files"]]
        return result


def fold_outputs(items: Iterable[Mapping[str, Any]], earlier: Sequence[Output] = ()) -> list[Output]:
    """Journal outputs to nbformat outputs: streams joined by name, ``clear_output`` and ``update_display_data`` applied within the run.

    A display id stays under ``transient``, which nbformat does not know: whoever writes a notebook drops it.
    """
    outputs: list[Output] = list(earlier)
    clear_pending = False
    for item in items:
        kind = item.get("output_type")
        if kind == "clear_output":
            clear_pending = bool(item.get("wait"))
            if not clear_pending:
                outputs.clear()
            continue
        if clear_pending:
            outputs.clear()
            clear_pending = False
        if kind == "update_display_data":
            _update_display(outputs, item)
        elif (
            kind == "stream"
            and outputs
            and outputs[-1]["output_type"] == "stream"
            and outputs[-1]["name"] == item["name"]
        ):
            outputs[-1] = {**outputs[-1], "text": outputs[-1]["text"] + item["text"]}
        else:
            outputs.append(dict(item))
    return outputs


def _update_display(outputs: list[Output], item: Mapping[str, Any]) -> None:
    wanted = item.get("transient", {}).get("display_id")
    for i, output in enumerate(outputs):
        if wanted is not None and output.get("transient", {}).get("display_id") == wanted:
            outputs[i] = {**output, "data": item["data"], "metadata": item.get("metadata", {})}
