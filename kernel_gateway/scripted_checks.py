"""What the Messages API refuses, checked as strictly as the service does and without a line of `agent.history`: the second opinion."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .agent.picture_size import read_header

Block = dict[str, Any]

_TOP = frozenset(
    [
        "model",
        "messages",
        "max_tokens",
        "system",
        "tools",
        "tool_choice",
        "stream",
        "metadata",
        "stop_sequences",
        "thinking",
        "cache_control",
        "container",
        "output_config",
        "service_tier",
        "diagnostics",
        "inference_geo",
        "speed",
    ]
)
_REMOVED = ("temperature", "top_p", "top_k")
_USER_FIELDS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"type", "text", "cache_control"}),
    "image": frozenset({"type", "source", "cache_control"}),
    "document": frozenset({"type", "source", "title", "context", "citations", "cache_control"}),
    "tool_result": frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"}),
}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")


class Refused(Exception):
    """The sentence of a 400."""


def sign(thinking: str) -> str:
    """The signature that the scripted model gives to a thinking block, and wants back."""
    return base64.b64encode(hashlib.sha256(thinking.encode()).digest()).decode()


def check_request(body: Mapping[str, Any], foreign_signatures: frozenset[str] = frozenset()) -> None:
    """Raises Refused. ``foreign_signatures`` are those of recorded thinking blocks, which `sign` did not make."""
    for name in _REMOVED:
        _refuse_if(name in body, f"{name}: this parameter is not supported by this API version")
    unknown = sorted(set(body) - _TOP)
    _refuse_if(bool(unknown), f"{', '.join(unknown)}: Extra inputs are not permitted")
    _refuse_if(not isinstance(body.get("model"), str) or not body["model"], "model: Input should be a valid string")
    limit = body.get("max_tokens")
    _refuse_if(not isinstance(limit, int) or limit < 1, "max_tokens: Input should be greater than or equal to 1")
    _check_system(body.get("system"))
    _check_tools(body.get("tools"))
    _refuse_if(_marks(body) > 4, "A maximum of 4 blocks with cache_control may be provided.")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused("messages: at least one message is required")
    _check_messages(messages, bool(body.get("tools")), foreign_signatures)


def _refuse_if(condition: bool, sentence: str) -> None:
    if condition:
        raise Refused(sentence)


def _marks(value: Any) -> int:
    if isinstance(value, dict):
        return ("cache_control" in value) + sum(_marks(v) for v in value.values())
    return sum(_marks(v) for v in value) if isinstance(value, list) else 0


def _check_system(system: Any) -> None:
    for block in system if isinstance(system, list) else []:
        _refuse_if(
            block.get("type") != "text" or not block.get("text", "").strip(),
            "system: text content blocks must be non-empty",
        )


def _check_tools(tools: Any) -> None:
    _refuse_if(tools is not None and not isinstance(tools, list), "tools: Input should be a valid list")
    names: list[str] = []
    for number, tool in enumerate(tools or []):
        names.append(str(tool.get("name")))
        _refuse_if(not _NAME.match(names[-1]), f"tools.{number}.name: String should match pattern")
        if tool.get("type", "custom") == "custom":
            schema = tool.get("input_schema")
            is_object = isinstance(schema, dict) and schema.get("type") == "object"
            _refuse_if(not is_object, f"tools.{number}.custom.input_schema.type: Input should be 'object'")
        else:
            _refuse_if(
                "input_schema" in tool or "description" in tool, f"tools.{number}: Extra inputs are not permitted"
            )
    _refuse_if(len(names) != len(set(names)), "tools: Tool names must be unique.")


def _check_messages(messages: Sequence[Any], has_tools: bool, foreign: frozenset[str]) -> None:
    ids: set[str] = set()
    calls: list[str] = []
    for number, message in enumerate(messages):
        role = message.get("role")
        _refuse_if(set(message) - {"role", "content"} != set(), f"messages.{number}: Extra inputs are not permitted")
        _refuse_if(
            role != ("assistant" if number % 2 else "user"),
            f"messages.{number}: roles must alternate, the first is user",
        )
        content = message.get("content")
        blocks: list[Block] = [{"type": "text", "text": content}] if isinstance(content, str) else list(content or [])
        _refuse_if(not blocks, f"messages.{number}: all messages must have non-empty content")
        where = f"messages.{number}.content"
        _check_answers(blocks, calls, where)
        for place, block in enumerate(blocks):
            check = _check_user_block if role == "user" else _check_assistant_block
            check(block, f"{where}.{place}", foreign)
        calls = [str(b.get("id")) for b in blocks if b.get("type") == "tool_use"]
        repeated = len(set(calls)) != len(calls) or bool(ids & set(calls))
        _refuse_if(repeated, f"{where}: `tool_use` ids must be unique")
        _refuse_if(bool(calls) and not has_tools, "Requests which include `tool_use` blocks must define tools")
        ids |= set(calls)
        _check_end(blocks, role, number == len(messages) - 1, where)
    _refuse_if(bool(calls), "`tool_use` ids were found without `tool_result` blocks immediately after")
    _check_pictures([b for m in messages for b in _pictures(m["content"])])


def _check_answers(blocks: Sequence[Block], calls: Sequence[str], where: str) -> None:
    answers = [str(b.get("tool_use_id")) for b in blocks if b.get("type") == "tool_result"]
    _refuse_if(
        bool(set(calls) - set(answers)),
        f"{where}: `tool_use` ids were found without `tool_result` blocks immediately after",
    )
    _refuse_if(bool(set(answers) - set(calls)), f"{where}: unexpected `tool_use_id` found in `tool_result` blocks")
    _refuse_if(len(answers) != len(set(answers)), f"{where}: each tool_use must have a single result")
    kinds = [b.get("type") for b in blocks[: len(answers)]]
    _refuse_if(any(k != "tool_result" for k in kinds), f"{where}: `tool_result` blocks must come first")


def _check_end(blocks: Sequence[Block], role: str, is_last: bool, where: str) -> None:
    last = blocks[-1]
    if role == "assistant":
        ends_thinking = last.get("type") in ("thinking", "redacted_thinking")
        _refuse_if(ends_thinking, f"{where}: The final block in an assistant message cannot be `thinking`.")
        blank = last.get("type") == "text" and last["text"] != last["text"].rstrip()
        _refuse_if(is_last and blank, f"{where}: final assistant content cannot end with trailing whitespace")


def _check_user_block(block: Block, where: str, foreign: frozenset[str]) -> None:
    kind = str(block.get("type"))
    _refuse_if(kind not in _USER_FIELDS, f"{where}: `{kind}` is not allowed in a user message")
    _refuse_if(bool(set(block) - _USER_FIELDS[kind]), f"{where}.{kind}: Extra inputs are not permitted")
    _check_text(block, where)
    if kind == "tool_result":
        content = block.get("content", "")
        inner: list[Block] = [] if isinstance(content, str) else list(content)
        for place, part in enumerate(inner):
            _check_user_block(part, f"{where}.content.{place}", foreign)
        has_other = any(b.get("type") != "text" for b in inner)
        _refuse_if(
            bool(block.get("is_error")) and has_other, f"{where}: all content must be type `text` if `is_error` is true"
        )


def _check_assistant_block(block: Block, where: str, foreign: frozenset[str]) -> None:
    kind = str(block.get("type"))
    _refuse_if(
        kind in ("tool_result", "image", "document"), f"{where}: `{kind}` is not allowed in an assistant message"
    )
    _check_text(block, where)
    if kind == "tool_use":
        _refuse_if(
            not isinstance(block.get("input"), dict), f"{where}.tool_use.input: Input should be a valid dictionary"
        )
        _refuse_if(
            not _NAME.match(str(block.get("id"))),
            f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
        )
    elif kind == "thinking":
        _refuse_if("cache_control" in block, f"{where}.thinking.cache_control: Extra inputs are not permitted")
        signature = block.get("signature")
        is_ours = signature == sign(str(block.get("thinking", "")))
        _refuse_if(not is_ours and signature not in foreign, f"{where}: Invalid `signature` in `thinking` block")


def _check_text(block: Block, where: str) -> None:
    if block.get("type") == "text":
        text = block.get("text")
        _refuse_if(
            not isinstance(text, str) or not text.strip(),
            f"{where}: text content blocks must contain non-whitespace text",
        )


def _pictures(content: Any) -> list[Block]:
    blocks: list[Block] = content if isinstance(content, list) else []
    nested = [b for block in blocks if block.get("type") == "tool_result" for b in _pictures(block.get("content"))]
    return [b for b in blocks if b.get("type") == "image"] + nested


def _check_pictures(pictures: Sequence[Block]) -> None:
    for picture in pictures:
        source = picture.get("source", {})
        _refuse_if(
            source.get("media_type") not in _PICTURES,
            "image.source.media_type: Input should be 'image/png' or the like",
        )
        try:
            data = base64.b64decode(source.get("data", ""), validate=True)
        except binascii.Error:
            raise Refused("image.source.base64: invalid base64 data") from None
        header = read_header(data)
        if header is None or header.media_type != source["media_type"]:
            raise Refused("image.source.base64.data: Image does not match the provided media type")
        _refuse_if(len(source["data"]) > 5 * 1024**2, "image exceeds 5 MB maximum")
        edge = 2000 if len(pictures) > 20 else 8000
        _refuse_if(
            header.long_edge > edge, f"At least one of the image dimensions exceed max allowed size: {edge} pixels"
        )
