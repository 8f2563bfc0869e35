"""One session's conversation: what the journal holds of it, and what a turn adds. Nothing is used before it is recorded."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .. import journal
from ..journal import BlobStore, Record, internalize
from ..supervisor.client import SessionClient
from .history import Message, history, validate_history
from .pricing import Price, Usage, cost_of
from .reply import Block

# The other kinds are large, and matter to the notebook only.
_KINDS = frozenset({"session", "kernel", "prompt", "words", "request", "message", "turn", "input", "files"})
_CELL = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")

Step = Literal["ask", "run", "end"]


@dataclass(frozen=True)
class Attachment:
    """A file that a person gave with a prompt, as it lies in the workspace; ``name`` is what they called it."""

    name: str
    path: str
    sha256: str
    bytes: int
    mime: str


@dataclass(frozen=True)
class PendingTurn:
    """A turn that was started and neither finished nor closed: its front end died, or the model's service failed."""

    turn: str
    prompt: str


def pending_turn(records: Iterable[Record]) -> PendingTurn | None:
    """Whether the session's last turn waits to be resumed."""
    started, prompt = None, ""
    for record in records:
        if record["kind"] == "turn":
            started = record["turn"] if record["state"] == "started" else None
        elif record["kind"] == "prompt" and record["turn"] == started:
            prompt = str(record["text"])
    return PendingTurn(started, prompt) if started else None


def next_step(last: Record) -> Step:
    """What follows the last message of a turn (facts: stop reasons of the Messages API).

    Tool calls run after ``tool_use`` alone; ``pause_turn`` and ``compaction`` are sent back as they are; a reason that is
    not known yet ends the turn, since running a call that the model did not mean cannot be undone.
    """
    if last["role"] == "user":
        return "ask"
    match last.get("stop_reason"):
        case "tool_use":
            return "run"
        case "pause_turn" | "compaction":
            return "ask"
        case _:
            return "end"


def cell_id(turn: str, name: str) -> str:
    """A notebook cell's id that is the same each time; ids of other providers may be long or odd."""
    wanted = f"{turn}-{name}"
    if _CELL.match(wanted):
        return wanted
    return f"{turn}-{re.sub(r'[^A-Za-z0-9_-]', '_', name)[:40]}-{zlib.crc32(name.encode('utf-8', 'replace')):08x}"


class Conversation:
    """Append-only, one writer: whoever holds the session's turn lock."""

    def __init__(self, client: SessionClient, records: Iterable[Record]) -> None:
        self.client = client
        self.records = [r for r in records if r["kind"] in _KINDS]

    @classmethod
    async def load(cls, client: SessionClient) -> Conversation:
        return cls(client, await asyncio.to_thread(read_records, client))

    async def record(self, kind: str, **fields: Any) -> None:
        """Returns once the record is durable."""
        seq = await self.client.record(kind, **fields)
        self.records.append({"seq": seq, "kind": kind, **fields})

    def of_turn(self, turn: str, kind: str) -> list[Record]:
        return [r for r in self.records if r["kind"] == kind and r.get("turn") == turn]

    def last_message(self, turn: str) -> Record | None:
        messages = self.of_turn(turn, "message")
        return messages[-1] if messages else None

    def next_turn(self) -> str:
        return f"t{len({r['turn'] for r in self.records if r['kind'] == 'turn'}) + 1}"

    def messages(self, turn: str, model: str) -> list[Message]:
        """Ready to send. Raises InvalidHistory."""
        messages = history(self.records, model)
        last = self.last_message(turn)
        validate_history(messages, is_paused=last is not None and last["role"] == "assistant")
        return messages

    def has(self, kind: str, **fields: Any) -> bool:
        return any(r["kind"] == kind and all(r.get(k) == v for k, v in fields.items()) for r in self.records)

    def used_ids(self) -> set[str]:
        """Ids of all tool calls so far: a second one of the same id would be taken for the first."""
        blocks = (b for r in self.records if r["kind"] == "message" and r["role"] == "assistant" for b in r["content"])
        return {b["id"] for b in blocks if b.get("type") == "tool_use"}

    def calls_made(self, turn: str) -> int:
        return sum(r["role"] == "assistant" for r in self.of_turn(turn, "message"))

    def spent(self, turn: str, price: Price | None) -> tuple[Usage, float | None]:
        """Of a turn as recorded: replies that were thrown away count, in the ``wasted`` of the one that replaced them."""
        usage, cost = Usage(), 0.0 if price else None
        for record in self.of_turn(turn, "message"):
            for raw in [record.get("usage"), *(record.get("wasted") or [])]:
                one = Usage.from_json(raw or {})
                usage += one
                cost = None if cost is None else cost + (cost_of(one, price) or 0.0)
        return usage, cost


def read_records(client: SessionClient) -> list[Record]:
    """The journal's records about the conversation, their blobs read in."""
    blobs = BlobStore(client.folder.blobs)
    found = journal.read(client.folder.journal).records
    return [internalize(r, blobs) for r in found if r["kind"] in _KINDS]


def unique_ids(blocks: Sequence[Block], used: set[str]) -> list[Block]:
    """Some local servers number their tool calls from zero in each reply; such a call gets an id of its own."""
    taken, kept = set(used), list[Block]()
    for block in blocks:
        if block.get("type") == "tool_use":
            wanted = re.sub(r"[^A-Za-z0-9_-]", "_", str(block.get("id") or "call"))
            name, count = wanted, 1
            while name in taken:
                count += 1
                name = f"{wanted}_{count}"
            taken.add(name)
            kept.append({**block, "id": name})
        else:
            kept.append(block)
    return kept


def attachment_fields(attachments: Iterable[Attachment]) -> list[dict[str, Any]]:
    return [asdict(a) for a in attachments]
