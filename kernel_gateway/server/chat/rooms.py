"""The chats of sessions: who may write into one, and how one lies on disk.

A chat is served over a websocket of its own and not as a shared document: the server alone writes it, so that nothing is replayed,
doubled or lost by a client that comes back (a shared chat did all three after a restart).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from jupyterlab_chat.chat_manager import ChatManager
from jupyterlab_chat.events import ChatEventAction
from jupyterlab_chat.models import BaseChatModel, FileAttachment, Message, NewMessage, NotebookAttachment
from jupyterlab_chat.websocket_handler import WSChatHandler
from jupyterlab_chat.websocket_model import WsChatModel
from jupyterlab_chat.ws_messages import ClientEditMessage, ClientSendMessage, ServerMessageMessage, to_wire
from tornado import websocket

from ...session.folder import SessionFolder

_log = logging.getLogger(__name__)

CHAT = "session.chat"
# Of a message's key, which becomes part of the journal.
_KEY_CHARACTERS = 128
_OURS = "cell_gateway"


def session_of(root: Path, path: str) -> SessionFolder | None:
    """The session whose chat is at ``path``, which is relative to the folder of all sessions."""
    parts = PurePosixPath(path).parts
    if len(parts) != 2 or parts[1] != CHAT or ".." in parts:
        return None
    folder = SessionFolder(root / parts[0])
    return folder if (folder.internals / "session.json").is_file() and not folder.path.is_symlink() else None


def ensure_chat(folder: SessionFolder) -> str:
    """The path of a session's chat for the contents API; an empty one is made when there is none."""
    place = folder.path / CHAT
    if not place.exists():
        _write(folder, {})
    return f"{folder.id}/{CHAT}"


def _write(folder: SessionFolder, content: dict[str, Any]) -> None:
    """Whole, or not at all; for the owner alone."""
    temporary = folder.internals / f"{CHAT}.new"
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
        json.dump(content, file, indent=2)
    temporary.replace(folder.path / CHAT)


class SessionChat(WsChatModel):
    """One session's chat. ``answered`` is kept in the file, where no client can write it."""

    @property
    def folder(self) -> SessionFolder:
        return SessionFolder((self.root_dir / self.path).parent)

    def save(self) -> None:
        """A disk that is full keeps nobody from reading an answer; the journal decides what was asked."""
        try:
            _write(self.folder, self.to_dict())
        except OSError as error:
            _log.warning("the chat of %s is not written: %s", self.folder.id, error.strerror)

    @property
    def _replies(self) -> dict[str, dict[str, Any]]:
        metadata: Any = self._metadata
        return metadata.setdefault(_OURS, {}).setdefault("replies", {})

    def is_answered(self, message: str) -> bool:
        return bool(self._replies.get(message, {}).get("done"))

    def begin_reply(self, message: str, sender: str) -> str:
        """The id of the reply to a message: one that was begun before is gone on with."""
        known = self._replies.get(message, {}).get("reply")
        if known is not None and known in self._indexes_by_id:
            return str(known)
        self._replies[message] = {"done": False}
        reply = self.add_message(NewMessage(body="…", sender=sender))
        self._replies[message]["reply"] = reply
        self.save()
        return reply

    def show(self, reply: str, body: str) -> None:
        """On all open pages; on disk only with the next save, since the journal has what matters."""
        if (index := self._indexes_by_id.get(reply)) is not None:
            stored = self._messages[index]
            if stored.get("deleted"):
                return
            stored["body"] = body
            self.broadcast(to_wire(ServerMessageMessage(message=self.resolve_message(stored))))

    def settle(self, message: str) -> None:
        """It is answered, for good."""
        self._replies.setdefault(message, {})["done"] = True
        self.save()

    def unanswered(self) -> list[Message]:
        """Of people, in order."""
        people = [m for m in self.get_messages() if not self._is_bot(m.sender)]
        return [m for m in people if not m.deleted and not self.is_answered(m.id)]

    def _is_bot(self, sender: str) -> bool:
        return bool(self._users.get(sender, {}).get("bot"))

    def get_attachments(self) -> dict[str, FileAttachment | NotebookAttachment]:
        """Less what is no attachment: clients write these."""
        found: dict[str, FileAttachment | NotebookAttachment] = {}
        for key, raw in self._attachments.items():
            value: Any = raw.get("value")
            if isinstance(value, str):
                kind = NotebookAttachment if raw.get("type") == "notebook" else FileAttachment
                found[key] = kind(value=value)
        return found

    def takes(self, message: ClientSendMessage) -> bool:
        """A message that comes again, after a lost connection, is one message."""
        return message.id not in self._indexes_by_id and len(message.id) <= _KEY_CHARACTERS

    def may_change(self, change: ClientEditMessage, user: str) -> bool:
        """Everybody changes their own, and may delete what the assistant said."""
        found = self.get_message(change.id)
        return found is not None and (found.sender == user or (bool(change.deleted) and self._is_bot(found.sender)))


OnOpen = Callable[[str, BaseChatModel], None]
OnClose = Callable[[str], None]


class SessionChats(ChatManager):
    """All chats that are open. One is let go a while after its last page and its last answer."""

    def __init__(self, *args: Any, on_open: OnOpen, on_close: OnClose, **kwargs: Any) -> None:
        self._on_open, self._on_close = on_open, on_close
        super().__init__(*args, **kwargs)

    def _get_or_create_ws(self, path: str) -> WsChatModel:
        known = self._model_for_path(path)
        if isinstance(known, WsChatModel):
            return known
        assert session_of(self._root_dir, path) is not None, "checked by whoever opens it"
        chat = SessionChat(path=path, root_dir=self._root_dir, event_logger=self._event_logger)
        chat.load_from_file()
        self._chats_by_id[chat.get_id()] = chat
        self._on_open(chat.get_id(), chat)
        return chat

    def ws_client_gone(self, chat_id: str) -> None:
        self.ws_activity(chat_id)

    def _free(self, chat_id: str, action: ChatEventAction) -> BaseChatModel | None:
        freed = super()._free(chat_id, action)
        if freed is not None:
            self._on_close(chat_id)
        return freed

    def open_unanswered(self) -> None:
        """Chats with a message that a server which is gone left without an answer."""
        for place in sorted(self._root_dir.glob(f"*/{CHAT}")):
            path = f"{place.parent.name}/{CHAT}"
            if session_of(self._root_dir, path) is None:
                continue
            chat = SessionChat(path=path, root_dir=self._root_dir)
            chat.load_from_file()
            if chat.unanswered():
                self.ws_open(path)


class SessionChatHandler(WSChatHandler):
    """A page's connection to a chat. Messages are of whoever the server knows the page's user to be."""

    def open(self, *args: str, **kwargs: str) -> None:
        if session_of(self._root_dir, args[0] if args else "") is None:
            self.close(1008, f"A chat belongs to a session: open {CHAT} beside its notebook.")
            return
        super().open(*args, **kwargs)

    def get_compression_options(self) -> dict[str, Any] | None:
        return websocket.WebSocketHandler.get_compression_options(self)

    def _handle_new_message(self, msg: ClientSendMessage, model: WsChatModel) -> None:
        assert isinstance(model, SessionChat)
        if not model.takes(msg):
            return
        msg.sender, msg.mime_model = None, None
        msg.attachments = [a for a in msg.attachments or [] if _is_attachment(a)] or None
        super()._handle_new_message(msg, model)

    def _handle_update_message(self, msg: ClientEditMessage, model: WsChatModel) -> None:
        assert isinstance(model, SessionChat)
        user: Any = self.current_user
        msg.mime_model = None
        if model.may_change(msg, user.username):
            super()._handle_update_message(msg, model)


def _is_attachment(found: object) -> bool:
    return isinstance(found, dict) and isinstance(found.get("value"), str)  # pyright: ignore[reportUnknownMemberType]
