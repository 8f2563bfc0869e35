"""Jupyter's wire protocol (5.4), lean: frames are verified and re-signed, and parsed only as far as somebody looks.

https://jupyter-client.readthedocs.io/en/stable/messaging.html#the-wire-protocol
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import orjson

from ..journal import now

DELIMITER = b"<IDS|MSG>"
PROTOCOL = "5.4"
# Frames after the delimiter: signature, header, parent header, metadata, content; then buffers.
_SIGNED = 4


class BadMessage(Exception):
    """Not a message of the protocol, or its signature is wrong. The sender is hostile or broken: drop and count."""


@dataclass
class Message:
    """One message. ``frames`` are header, parent, metadata, content and buffers as they came; the signature is gone."""

    frames: list[bytes]
    identities: list[bytes] = field(default_factory=list)

    @cached_property
    def header(self) -> dict[str, Any]:
        return _object(self.frames[0])

    @cached_property
    def parent(self) -> dict[str, Any]:
        """Empty when it is null: some kernels send that."""
        return _object(self.frames[1])

    @cached_property
    def metadata(self) -> dict[str, Any]:
        return _object(self.frames[2])

    @cached_property
    def content(self) -> dict[str, Any]:
        return _object(self.frames[3])

    @property
    def kind(self) -> str:
        return str(self.header.get("msg_type", ""))

    @property
    def id(self) -> str:
        return str(self.header.get("msg_id", ""))

    @property
    def parent_id(self) -> str:
        return str(self.parent.get("msg_id", ""))


def _object(frame: bytes) -> dict[str, Any]:
    """Raises BadMessage. Python's own parser is the second try: it takes NaN and lone surrogates, which kernels do send."""
    try:
        value: Any = orjson.loads(frame)
    except orjson.JSONDecodeError:
        try:
            value = json.loads(frame.decode("utf-8", "replace"))
        except (ValueError, RecursionError) as error:
            raise BadMessage(str(error)[:200]) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadMessage("not a JSON object")
    return cast("dict[str, Any]", value)


def pack(value: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return json.dumps(value, default=str).encode("utf-8", "replace")


class Signer:
    """HMAC-SHA256 of one connection's key."""

    def __init__(self, key: str) -> None:
        self._mac = hmac.new(key.encode(), digestmod=hashlib.sha256)

    def sign(self, frames: list[bytes]) -> bytes:
        mac = self._mac.copy()
        for frame in frames[:_SIGNED]:
            mac.update(frame)
        return mac.hexdigest().encode()

    def wrap(self, message: Message) -> list[bytes]:
        """Frames for the socket: identities (or the topic), delimiter, signature, the rest."""
        return [*message.identities, DELIMITER, self.sign(message.frames), *message.frames]

    def unwrap(self, frames: list[bytes]) -> Message:
        """Raises BadMessage."""
        try:
            at = frames.index(DELIMITER)
        except ValueError:
            raise BadMessage("no delimiter") from None
        body = frames[at + 2 :]
        if len(body) < _SIGNED or not hmac.compare_digest(self.sign(body), frames[at + 1]):
            raise BadMessage("wrong signature")
        message = Message(body, frames[:at])
        # Header and parent are looked at by everyone: parse them here, where a bad one is caught.
        _ = message.header, message.parent
        return message


def new_header(kind: str, session: str) -> dict[str, Any]:
    return {
        "msg_id": uuid.uuid4().hex,
        "session": session,
        "username": "cell-gateway",
        "date": now(),
        "msg_type": kind,
        "version": PROTOCOL,
    }


def compose(
    kind: str, session: str, content: dict[str, Any], parent: bytes = b"{}", identities: list[bytes] | None = None
) -> Message:
    """A new message; ``parent`` is the raw header it answers."""
    return Message([pack(new_header(kind, session)), parent, b"{}", pack(content)], identities or [])
