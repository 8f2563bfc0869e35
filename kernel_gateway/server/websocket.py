"""A client's websocket to a session. Both protocols of Jupyter, and what clients that follow neither to the letter send."""

from __future__ import annotations

import json
from typing import Any

from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1, serialize_msg_to_ws_v1
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from traitlets import default

from .kernelspecs import magic_of

_V1 = "v1.kernel.websocket.jupyter.org"


class SessionConnection(ZMQChannelsWebsocketConnection):
    """Code for the kernels ``bash`` and ``javascript`` becomes a ``%%bash`` or ``%%node`` cell on its way."""

    @default("limit_rate")
    def _unlimited(self) -> bool:
        return False

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        kernel: Any = self.kernel_manager
        magic = magic_of(kernel.kernel_name)
        if magic and self.subprotocol == _V1:
            incoming_msg = _with_magic_v1(incoming_msg, magic)
        elif magic and isinstance(incoming_msg, str):
            incoming_msg = _with_magic(incoming_msg, magic)
        super().handle_incoming_message(incoming_msg)


def _with_magic(text: str, magic: str) -> str:
    message: Any = json.loads(text)
    if message.get("header", {}).get("msg_type") == "execute_request":
        message["content"] = _content(message.get("content") or {}, magic)
    return json.dumps(message)


def _with_magic_v1(raw: bytes, magic: str) -> bytes:
    channel, parts = deserialize_msg_from_ws_v1(raw)
    if json.loads(parts[0]).get("msg_type") == "execute_request":
        parts[3] = json.dumps(_content(json.loads(parts[3]), magic)).encode()
    return serialize_msg_to_ws_v1(parts, channel)


def _content(content: dict[str, Any], magic: str) -> dict[str, Any]:
    code = str(content.get("code", ""))
    return content if code.startswith("%%") or not code.strip() else {**content, "code": f"{magic}\n{code}"}
