"""What of a conversation a fork takes along: the messages up to a cell, as a history that the model's service takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..agent.history import not_run, pictures_in
from ..journal import BlobStore, Record, internalize, read
from ..session.folder import SessionFolder
from ..supervisor.client import SessionClient
from .source import RecordedCell

_KINDS = ("request", "message", "turn")
_NOT_HERE = "Not run: this session is a fork from before this call."
_UNTOLD = "It ran; what it gave had not been told before the session was forked."
Block = dict[str, Any]


@dataclass(frozen=True)
class Carried:
    """Records to append to the fork's journal, in order: kind and fields."""

    records: list[tuple[str, dict[str, Any]]]

    @property
    def messages(self) -> int:
        return sum(kind == "message" for kind, _ in self.records)


def carried(session: SessionFolder, last: RecordedCell | None) -> Carried:
    """The conversation up to the end of ``last``'s run: calls after it are answered as not run, and the turn is closed.

    Nothing is carried for None, or when no message came before the cell. What the turns cost was spent in the session, not in its fork.
    """
    records = read(session.journal).records
    ends = [r["seq"] for r in records if r["kind"] == "end" and last is not None and r["run"] == last.run]
    if not ends:
        return Carried([])
    blobs = BlobStore(session.blobs)
    before = [r for r in records if r["seq"] <= ends[-1]]
    made = {str(r["tool_use_id"]) for r in before if r.get("tool_use_id")}
    kept = [internalize(r, blobs) for r in before if r["kind"] in _KINDS]
    if not any(r["kind"] == "message" for r in kept):
        return Carried([])
    open_turn = _open_turn(kept)
    if open_turn is not None:
        kept += _answers(records, blobs, kept, open_turn, made)
        kept.append({"kind": "turn", "turn": open_turn, "state": "ended", "stop_reason": "interrupted"})
    return Carried([(r["kind"], _fields(r)) for r in kept])


async def carry(found: Carried, into: SessionClient, told: str) -> None:
    """Record them in the fork; ``told`` is what the model reads next, ahead of what it is asked."""
    for kind, fields in found.records:
        await into.record(kind, **fields)
    if found.messages:
        turn = found.records[-1][1]["turn"]
        await into.record("message", turn=turn, role="user", content=[{"type": "text", "text": told}])


def _fields(record: Record) -> dict[str, Any]:
    fields = {k: v for k, v in record.items() if k not in ("seq", "kind", "time", "crc")}
    if record["kind"] == "turn" and record["state"] == "ended":
        return {**fields, "usage": {}, "cost": 0.0}
    return fields


def _open_turn(records: Sequence[Record]) -> str | None:
    turn: str | None = None
    for record in records:
        if record["kind"] == "turn":
            turn = record["turn"] if record["state"] == "started" else None
    return turn


def _answers(
    records: Sequence[Record], blobs: BlobStore, kept: Sequence[Record], turn: str, made: set[str]
) -> list[Record]:
    """The answer to the last message's calls, as it was recorded later: without those of calls that came after the cell."""
    asked = [r for r in kept if r["kind"] == "message" and r["turn"] == turn]
    calls = [b["id"] for b in asked[-1]["content"] if b.get("type") == "tool_use"] if asked else []
    if not calls:
        return []
    done = max((n for n, call in enumerate(calls, 1) if call in made), default=0)
    later = (r for r in records if r["kind"] == "message" and r["turn"] == turn and r["seq"] > asked[-1]["seq"])
    answer = next(later, None)
    found = internalize(answer, blobs) if answer is not None else {}
    blocks: list[Block] = [b for b in found.get("content", []) if b.get("tool_use_id") in calls[:done]]
    pictures = (found.get("pictures") or [])[: len(pictures_in(blocks))]
    answered = {b["tool_use_id"] for b in blocks}
    missing = [(n, call) for n, call in enumerate(calls) if call not in answered]
    blocks += [not_run(call, _UNTOLD if n < done else _NOT_HERE) for n, call in missing]
    return [{"kind": "message", "turn": turn, "role": "user", "content": blocks, "pictures": pictures}]
