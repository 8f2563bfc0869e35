"""The server extension of the chat."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from jupyter_ai_persona_manager.extension import PersonaManagerExtension
from jupyter_ai_persona_manager.handlers import AvatarHandler, CancelHandler, build_avatar_cache
from jupyter_ai_router.handlers import RouteHandler
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from jupyterlab_chat.models import BaseChatModel
from jupyterlab_chat.rtc_lib import PAGE_CONFIG_KEY
from traitlets import default

from .personas import SessionPersonas
from .rooms import SessionChat, SessionChatHandler, SessionChats


class ChatApp(PersonaManagerExtension):
    """The package's extension less three things: it shows no hidden files, reads no folder for assistants, and has no route that asks
    an assistant which is not ours.
    """

    name = "cell_gateway_chat"
    handlers: ClassVar[list[tuple[str, Any]]] = [
        (r"/api/chat/ws/(.+)", SessionChatHandler),
        (r"/api/ai/avatars/(.*)", AvatarHandler),
        (r"/api/ai/personas/cancel", CancelHandler),
        # What the page of the chat asks for; messages go another way here.
        (r"/jupyter-ai-router/health/?", RouteHandler),
    ]

    @default("persona_manager_class")
    def _personas(self) -> type[SessionPersonas]:
        return SessionPersonas

    def _link_jupyter_server_extension(self, server_app: ServerApp) -> None:
        ExtensionApp._link_jupyter_server_extension(self, server_app)

    def initialize_settings(self) -> None:
        server: Any = self.serverapp
        page_config = server.web_app.settings.setdefault("page_config_data", {})
        page_config[PAGE_CONFIG_KEY] = {"enabled": False, "provider": None, "providerDetails": {}}
        super().initialize_settings()
        chats = SessionChats(server, on_open=self._open, on_close=self._on_router_chat_stop, parent=self)
        self.settings["chat_manager"] = chats
        server.io_loop.add_callback(chats.open_unanswered)

    async def _setup_router_integration(self) -> None:
        """Chats are told of as they open, by `SessionChats`: there is no moment at which one could be missed."""

    def _open(self, chat_id: str, chat: BaseChatModel) -> None:
        server: Any = self.serverapp
        personas: Any = self._init_persona_manager(chat)
        if not isinstance(personas, SessionPersonas) or not isinstance(chat, SessionChat):
            return
        known: dict[str, Any] = server.web_app.settings["jupyter-ai"]["persona-managers"]
        known[chat_id] = personas
        build_avatar_cache(known)
        chat.observe_messages(personas.on_event)
        asyncio.get_running_loop().call_soon(personas.catch_up)
