"""Which assistants a chat has: one, and nothing that lies in a folder can add another."""

from __future__ import annotations

from typing import Any

from jupyter_ai_persona_manager.mcp_server_models import McpSettings
from jupyter_ai_persona_manager.persona_manager import PersonaManager
from jupyterlab_chat.models import ChatMessageAction, ChatMessageEvent, Message
from traitlets import Unicode

from ..context import Context
from .persona import Assistant
from .rooms import SessionChat


class SessionPersonas(PersonaManager):
    """Each message of a person goes to the assistant once, whatever it names and however often it is told."""

    default_persona_id = Unicode(f"jupyter-ai-personas::kernel_gateway::{Assistant.__name__}", allow_none=True)

    def __init__(self, *args: Any, chat: SessionChat, **kwargs: Any) -> None:
        self._chat = chat
        self._taken: set[str] = set()
        super().__init__(*args, chat=chat, **kwargs)

    @property
    def context(self) -> Context:
        server: Any = self.parent
        found: Context = server.serverapp.context
        return found

    def _init_persona_classes(self) -> None:
        self._local_persona_classes = [{"module": __name__, "persona_class": Assistant, "traceback": None}]

    def _init_ep_persona_classes(self) -> None:
        """Other packages' assistants would run in this process, beside no sandbox."""

    def _init_local_persona_classes(self) -> None:
        """Never: a model may have written what lies there."""

    def get_mcp_settings(self) -> McpSettings | None:
        return None

    def on_event(self, event: ChatMessageEvent) -> None:
        if event.action == ChatMessageAction.CLIENT_MSG_RECEIVED:
            self.on_chat_message(self._chat.get_id(), event.message)

    def on_chat_message(self, chat_id: str, message: Message) -> None:
        assistant = self.default_persona
        if assistant is None or message.id in self._taken or message.deleted:
            return
        self._taken.add(message.id)
        self.event_loop.create_task(assistant.on_message(message))

    def catch_up(self) -> None:
        """What was written while nobody answered, or was being answered when a server ended."""
        for message in self._chat.unanswered():
            self.on_chat_message(self._chat.get_id(), message)
