"""The conversation as the model is to see it, rebuilt from the journal, and the check that it is one the API takes.

`history` repairs what interrupts and kills leave behind; `validate_history` runs before every request and trusts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import GatewayError
from ..journal import Record
from .reply import Block, Reply

Message = dict[str, Any]

INTERRUPTED = "interrupted by the user"
# More pictures than this in one request and the API wants each below 2000 x 2000; all of them must stay far below its 32 MB.
LIVE_PICTURES = 20
LIVE_PICTURE_BYTES = 20 * 1024**2
# Pictures leave the conversation ten at a time: each removal changes the prefix and with it loses the prompt cache, so
# one in ten turns pays for it rather than each.
PICTURE_STEP = 10

_ID = re.compile(r"[A-Za-z0-9_-]+\Z")
_THINKING = ("thinking", "redacted_thinking")
_PICTURE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")


class InvalidHistory(GatewayError):
    """The conversation would be refused by the API: a mistake of ours, found before it is sent."""


def history(records: Iterable[Record], model: str | None = None) -> list[Message]:
    """Messages to send, from ``message`` records (blobs already read in) and the ``request`` records between them.

    A pure function whose result for more records begins with its result for fewer, but for the last message, which may
    have more blocks, and the steps in which old pictures leave. ``model`` is who is asked now: thinking of another model
    is left out, since it is bound to the one that thought it.
    """
    kept = _kept(records, model)
    messages: list[Message] = []
    for role, blocks in _without_old_pictures(kept):
        _append(messages, role, blocks)
    if messages:
        _answer_open_calls(messages, len(messages) - 1)
    return messages


def _kept(records: Iterable[Record], model: str | None) -> list[tuple[str, list[Block], list[str]]]:
    """Role, blocks and picture labels of each message that goes into the conversation."""
    asked: dict[str, str] = {}
    kept: list[tuple[str, list[Block], list[str]]] = []
    for record in _without_refused(records):
        if record["kind"] == "request":
            asked[record["turn"]] = record["body"].get("model")
        elif record["kind"] == "message":
            is_foreign = model is not None and asked.get(record["turn"], model) != model
            blocks = [b for b in record["content"] if not (is_foreign and b.get("type") in _THINKING)]
            labels = [str(p.get("label")) for p in record.get("pictures") or []]
            kept.append((record["role"], _sendable(record["role"], blocks), labels))
    return kept


def _without_refused(records: Iterable[Record]) -> list[Record]:
    """Without refused turns: a refused prompt left in place is refused again, whatever follows it."""
    records = list(records)
    refused = {r["turn"] for r in records if r["kind"] == "message" and r.get("stop_reason") == "refusal"}
    return [r for r in records if r.get("turn") not in refused]


def _sendable(role: str, blocks: Sequence[Block]) -> list[Block]:
    """Without blank texts, nor thinking at the end of what the model said, which the API refuses."""
    kept = [b for b in blocks if not _is_blank(b)]
    while role == "assistant" and kept and kept[-1].get("type") in _THINKING:
        kept.pop()
    return kept


def _is_blank(block: Block) -> bool:
    return block.get("type") == "text" and not str(block.get("text", "")).strip()


def _append(messages: list[Message], role: str, blocks: list[Block]) -> None:
    """Neighbours of one role become one message: after a dropped reply, a pause, or a prompt that follows tool results."""
    follows = messages[-1] if messages else None
    if role == "user":
        blocks = _answers(blocks, follows)
    if not blocks or (follows is None and role == "assistant"):
        return
    if follows is not None and follows["role"] == role:
        messages[-1] = {"role": role, "content": [*follows["content"], *blocks]}
        return
    messages.append({"role": role, "content": _results_first(blocks)})
    if role == "user" and follows is not None:
        _answer_open_calls(messages, len(messages) - 2)


def _results_first(blocks: list[Block]) -> list[Block]:
    return sorted(blocks, key=lambda b: b.get("type") != "tool_result")


def _answers(blocks: list[Block], question: Message | None) -> list[Block]:
    """Without tool results that answer no call of ``question`` (theirs was in a reply that was dropped), or one a second time."""
    open_calls = _calls(question) if question else []
    kept: list[Block] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            if block.get("tool_use_id") not in open_calls:
                continue
            open_calls.remove(block["tool_use_id"])
        kept.append(block)
    return kept


def _calls(message: Message) -> list[str]:
    return (
        [b["id"] for b in message["content"] if b.get("type") == "tool_use"] if message["role"] == "assistant" else []
    )


def _answer_open_calls(messages: list[Message], index: int) -> None:
    """Give each call of message ``index`` that has no result one that says so, ahead of everything else in the next message."""
    calls = _calls(messages[index])
    if not calls:
        return
    if index + 1 == len(messages):
        messages.append({"role": "user", "content": []})
    answer = messages[index + 1]
    answered = {b.get("tool_use_id") for b in answer["content"]}
    missing = [not_run(call, INTERRUPTED) for call in calls if call not in answered]
    answer["content"] = _results_first([*missing, *answer["content"]]) if missing else answer["content"]


def not_run(tool_use_id: str, reason: str) -> Block:
    return {
        "type": "tool_result",
        "tool_use_id": tool_use_id,
        "is_error": True,
        "content": [{"type": "text", "text": reason}],
    }


def salvage(reply: Reply) -> list[Block]:
    """What may stay of a reply that was broken off: words, whole thinking with its signature, and whole tool calls.

    An unfinished text stays too, since the person has read it; any other unfinished block goes.
    """
    blocks = [b for b in reply.blocks if b.get("type") != "thinking" or "signature" in b]
    if reply.half and reply.half.get("type") == "text":
        text = str(reply.half.get("text", "")).rstrip()
        blocks.append({"type": "text", "text": text})
    return _sendable("assistant", blocks)


def pictures_in(blocks: Iterable[Block]) -> list[Block]:
    """Image blocks in order, those inside tool results among them."""
    found: list[Block] = []
    for block in blocks:
        if block.get("type") == "image":
            found.append(block)
        elif block.get("type") == "tool_result" and isinstance(block.get("content"), list):
            found += pictures_in(block["content"])
    return found


def gone_pictures(sizes: Sequence[int]) -> int:
    """How many of the oldest pictures are no longer sent, given the size of each in order: a multiple of `PICTURE_STEP`, or all."""
    gone = 0
    while len(sizes) - gone > LIVE_PICTURES or sum(sizes[gone:]) > LIVE_PICTURE_BYTES:
        gone = min(gone + PICTURE_STEP, len(sizes))
    return gone


def live_pictures(records: Iterable[Record]) -> dict[str, str]:
    """Label by sha256 of the pictures that the model still sees (of the original, where a smaller one was sent)."""
    kept = [r for r in _without_refused(records) if r["kind"] == "message" and r["role"] == "user"]
    named = [p for r in kept for p in r.get("pictures") or []]
    sizes = [_size(b) for r in kept for b in pictures_in(r["content"])]
    return {p["sha256"]: str(p["label"]) for p in named[gone_pictures(sizes) :]}


def _size(picture: Block) -> int:
    return len(str(picture.get("source", {}).get("data", "")))


def _without_old_pictures(kept: Sequence[tuple[str, list[Block], list[str]]]) -> Iterable[tuple[str, list[Block]]]:
    gone = gone_pictures([_size(b) for _, blocks, _ in kept for b in pictures_in(blocks)])
    for role, blocks, labels in kept:
        names = iter(labels)
        replaced: list[Block] = []
        for block in blocks:
            shown, gone = _replace_pictures(block, gone, names)
            replaced.append(shown)
        yield role, replaced


def _replace_pictures(block: Block, gone: int, names: Any) -> tuple[Block, int]:
    """The block with its first ``gone`` pictures as text, and how many are still to go."""
    if block.get("type") == "image":
        label = next(names, "an earlier cell")
        if gone or not _is_whole(block):
            text = f"[picture of {label}: no longer shown here, to save room; it is in the notebook]"
            return {"type": "text", "text": text}, max(gone - 1, 0)
    elif block.get("type") == "tool_result" and isinstance(block.get("content"), list):
        content: list[Block] = []
        for inner in block["content"]:
            shown, gone = _replace_pictures(inner, gone, names)
            content.append(shown)
        return {**block, "content": content}, gone
    return block, gone


def _is_whole(picture: Block) -> bool:
    """A blob that is gone was read as a text in square brackets."""
    return not str(picture.get("source", {}).get("data", "")).startswith("[")


def validate_history(messages: Sequence[Mapping[str, Any]], *, is_paused: bool = False) -> None:
    """Raises InvalidHistory unless the API would take these messages. ``is_paused``: the model's own message may be the last."""
    if not messages:
        raise InvalidHistory("The conversation is empty.")
    ids: set[str] = set()
    for number, message in enumerate(messages):
        expected = "assistant" if number % 2 else "user"
        _expect(message.get("role") == expected, number, f"must be of the {expected}")
        content = message.get("content")
        _expect(isinstance(content, list) and bool(content), number, "is empty")
        blocks: list[Block] = list(content or [])
        for block in blocks:
            _check_block(block, expected, number, ids)
        _check_answers(blocks, messages[number - 1] if number else None, number)
    last = messages[-1]
    _expect(is_paused or last["role"] == "user", len(messages) - 1, "is last, yet not the user's")
    _expect(not _calls(dict(last)), len(messages) - 1, "has tool calls without an answer")


def _expect(condition: bool, number: int, problem: str) -> None:
    if not condition:
        raise InvalidHistory(
            f"Message {number + 1} of the conversation {problem}.", "This is our mistake: please report it."
        )


def _check_block(block: Block, role: str, number: int, ids: set[str]) -> None:
    kind = block.get("type")
    _expect(isinstance(kind, str) and "partial_json" not in block, number, "has half a block")
    _expect(not _is_blank(block), number, "has a blank text")
    if kind == "tool_use":
        _expect(role == "assistant" and isinstance(block.get("input"), dict), number, "has a tool call without input")
        _expect(
            bool(_ID.match(str(block.get("id")))) and block["id"] not in ids,
            number,
            "has a tool call id that is not unique",
        )
        ids.add(block["id"])
    elif kind in _THINKING:
        _expect(
            role == "assistant" and ("signature" in block or "data" in block), number, "has thinking without signature"
        )
    elif kind == "tool_result":
        _check_result(block, role, number)
    elif kind == "image":
        _expect(role == "user", number, "has a picture by the model")
        _expect(block.get("source", {}).get("media_type") in _PICTURE_TYPES, number, "has a picture of an unknown kind")


def _check_result(block: Block, role: str, number: int) -> None:
    _expect(role == "user", number, "has a tool result by the model")
    content = block.get("content")
    inner: list[Block] = content if isinstance(content, list) else []
    _expect(not any(_is_blank(b) for b in inner), number, "has a blank text in a tool result")
    has_picture = any(b.get("type") != "text" for b in inner)
    _expect(not (block.get("is_error") and has_picture), number, "has a picture in an error result")


def _check_answers(blocks: list[Block], question: Mapping[str, Any] | None, number: int) -> None:
    """Each call of the message before has one result, ahead of all else; no result answers nothing."""
    results = [b.get("tool_use_id") for b in blocks if b.get("type") == "tool_result"]
    calls = _calls(dict(question)) if question else []
    _expect(sorted(map(str, results)) == sorted(calls), number, "does not answer exactly the tool calls before it")
    leading = [b.get("type") for b in blocks[: len(results)]]
    _expect(all(kind == "tool_result" for kind in leading), number, "has tool results after other blocks")
    if blocks and number % 2:
        _expect(blocks[-1].get("type") not in _THINKING, number, "ends with thinking")
