"""What a session's journal says when its supervisor opens it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..journal import Journal, Record
from .death import death_notice


@dataclass
class History:
    """``ends`` by run: what ran once does not run again. ``setups``: languages whose setup cell is in the notebook."""

    generation: int = 0
    ends: dict[str, Record] = field(default_factory=dict[str, Record])
    setups: set[str] = field(default_factory=set[str])
    # Paths of recorded inputs.
    inputs: set[str] = field(default_factory=set[str])
    # Whether there is a cell that a restart marker would separate from the next.
    has_cells: bool = False
    # Names that were alive last.
    names: list[str] = field(default_factory=list[str])
    is_new: bool = True


def read_history(journal: Journal) -> History:
    """Also ends what was running when the recorder died: it is ``died``, and never repeated by itself (P7)."""
    records = journal.records
    starts = [r for r in records if r["kind"] == "start"]
    named = (r["names"] for r in reversed(records) if r["kind"] in ("end", "death") and "names" in r)
    history = History(
        generation=max((r["generation"] for r in records if r["kind"] == "kernel"), default=0),
        ends={r["run"]: r for r in records if r["kind"] == "end"},
        setups={r["source_kind"] for r in starts if r.get("source_kind")},
        inputs={r["path"] for r in records if r["kind"] == "input"},
        has_cells=any(not r.get("hidden") and not r.get("source_kind") for r in starts),
        names=next(named, []),
        is_new=not records,
    )
    _close_open_runs(journal, history, [r for r in starts if r["run"] not in history.ends])
    # Blobs and outputs of a long session need not stay in memory.
    journal.records = []
    return history


def _close_open_runs(journal: Journal, history: History, starts: list[Record]) -> None:
    if not starts:
        return
    notice = death_notice("recorder lost", "The session's supervisor ended while this cell ran.", history.names)
    journal.append(
        "death",
        reserved=True,
        generation=history.generation,
        cause="recorder lost",
        detail="",
        run=starts[-1]["run"],
        names=history.names,
    )
    for start in starts:
        end = journal.append("end", reserved=True, run=start["run"], exit="died", notice=notice, duration=0.0)
        history.ends[start["run"]] = end
    journal.sync()
