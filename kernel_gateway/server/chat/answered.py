"""What the journal knows of a message of the chat: whether it was asked, and what was said then."""

from __future__ import annotations

from dataclasses import dataclass

from ...agent.pricing import Usage
from ...journal import BlobStore, Record, internalize, read
from ...session.folder import SessionFolder


@dataclass(frozen=True)
class Asked:
    """The turn of a message. ``ended`` is its last record, None while it goes on or when it broke off."""

    turn: str
    words: tuple[str, ...]
    ended: Record | None

    @property
    def usage(self) -> Usage:
        return Usage.from_json((self.ended or {}).get("usage") or {})

    @property
    def cost(self) -> float | None:
        return (self.ended or {}).get("cost")


def asked(folder: SessionFolder, message: str) -> Asked | None:
    """None when it was never asked."""
    records, blobs = read(folder.journal).records, BlobStore(folder.blobs)
    turns = [r["turn"] for r in records if r["kind"] == "prompt" and r.get("message") == message]
    if not turns:
        return None
    of_turn = [r for r in records if r.get("turn") == turns[0]]
    words = tuple(str(internalize(r, blobs)["text"]) for r in of_turn if r["kind"] == "words")
    ends = [r for r in of_turn if r["kind"] == "turn" and r["state"] == "ended"]
    return Asked(turns[0], words, ends[-1] if ends else None)
