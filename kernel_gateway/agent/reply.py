"""One reply of the model, put together from raw stream events, so that fields and block types that nobody here knows survive."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

Block = dict[str, Any]


@dataclass
class Reply:
    """What was received. ``blocks`` are whole; ``half`` is the one that the stream ended in, its input text under ``partial_json``."""

    blocks: list[Block] = field(default_factory=list[Block])
    half: Block | None = None
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_details: dict[str, Any] | None = None
    usage: dict[str, Any] = field(default_factory=dict[str, Any])
    request_id: str | None = None

    @property
    def tool_uses(self) -> list[Block]:
        return [b for b in self.blocks if b["type"] == "tool_use"]

    @property
    def is_cut(self) -> bool:
        """The limit on tokens fell inside or right after a tool call."""
        return self.stop_reason == "max_tokens" and (self.half is not None or bool(self.tool_uses))


class Assembly:
    """Takes the events of one stream in order; at any moment `reply` says what has arrived so far."""

    def __init__(self) -> None:
        self._blocks: dict[int, Block] = {}
        self._inputs: dict[int, str] = {}
        self._closed: set[int] = set()
        self._head = Reply()

    @property
    def is_whole(self) -> bool:
        """The end arrived, and no tool that is to be run has half an input."""
        reply = self.reply
        return reply.stop_reason is not None and not (reply.stop_reason == "tool_use" and reply.half)

    def start_message(self, message: Mapping[str, Any], request_id: str | None) -> None:
        self._head.id, self._head.model = message.get("id"), message.get("model")
        self._head.usage = dict(message.get("usage") or {})
        self._head.request_id = request_id

    def start_block(self, index: int, block: Block) -> None:
        self._blocks[index] = dict(block)

    def add_delta(self, index: int, delta: Mapping[str, Any]) -> None:
        """Strings of a delta lengthen the block's field of that name, whatever it is called."""
        block = self._blocks[index]
        match delta.get("type"):
            case "input_json_delta":
                self._inputs[index] = self._inputs.get(index, "") + str(delta.get("partial_json", ""))
            case "citations_delta":
                block["citations"] = [*(block.get("citations") or []), delta.get("citation")]
            case "signature_delta":
                block["signature"] = delta.get("signature", "")
            case _:
                for key, value in delta.items():
                    if key != "type":
                        known = block.get(key)
                        block[key] = known + value if isinstance(known, str) and isinstance(value, str) else value

    def stop_block(self, index: int) -> None:
        """A tool's input that is not a JSON object leaves its block half: the API closes blocks that ``max_tokens`` cut."""
        text = self._inputs.get(index, "")
        if text.strip():
            try:
                value = json.loads(text)
            except json.JSONDecodeError:
                return
            if not isinstance(value, dict):
                return
            self._blocks[index]["input"] = value
        self._closed.add(index)

    def end_message(self, delta: Mapping[str, Any], usage: Mapping[str, Any]) -> None:
        """``usage`` counts from the beginning of the reply: it replaces, and what it leaves out stays."""
        self._head.stop_reason = delta.get("stop_reason")
        self._head.stop_details = delta.get("stop_details")
        self._head.usage.update({k: v for k, v in usage.items() if v is not None})

    @property
    def reply(self) -> Reply:
        reply = Reply(**vars(self._head))
        reply.blocks = [storable(self._blocks[i]) for i in sorted(self._closed)]
        half = [i for i in sorted(self._blocks) if i not in self._closed]
        if half:
            reply.half = {**storable(self._blocks[half[-1]]), "partial_json": self._inputs.get(half[-1], "")}
        return reply


def storable(value: Any) -> Any:
    """The same, but for half characters (lone surrogates) and numbers beyond 64 bits, which neither UTF-8 nor the journal can hold."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {storable(k): storable(v) for k, v in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list):
        return [storable(v) for v in cast("list[Any]", value)]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return value
