"""The assistant of a chat: each message of a person becomes a turn of the session whose folder holds the chat."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_ai_persona_manager import BasePersona, PersonaDefaults
from jupyterlab_chat.models import Message

from ...errors import GatewayError, MessageKnown
from ...session.folder import SessionFolder
from ...session.opening import owner_name
from ..turns import Asked as Asking
from ..turns import Turns
from .answered import Asked, asked
from .attachments import attachments_of
from .questions import Questions
from .reply import Reply
from .rooms import SessionChat

if TYPE_CHECKING:
    from .personas import SessionPersonas

_GOING_ON = "The server ended in the middle of this; it goes on."
_STOPPED = "Stopped before it was asked."


class Assistant(BasePersona):
    """Messages are answered one after another, each once: the journal knows which ones were asked."""

    def __init__(self, *args: Any, parent: SessionPersonas, chat: SessionChat, **kwargs: Any) -> None:
        super().__init__(*args, parent=parent, chat=chat, **kwargs)
        self._chat, self._context = chat, parent.context
        self._stop = asyncio.Event()
        self._questions = Questions(chat, self.id)

    @property
    def defaults(self) -> PersonaDefaults:
        return PersonaDefaults(
            name="Assistant",
            description="Answers by running cells of the notebook beside this chat.",
            avatar_path=str(Path(__file__).with_name("assistant.svg")),
            system_prompt="",
        )

    @property
    def _turns(self) -> Turns:
        return self._context.turns

    @property
    def _folder(self) -> SessionFolder:
        return self._chat.folder

    async def on_message(self, message: Message) -> None:
        """An answer to a question of the network does not wait behind the turn that asks it."""
        if not await self._questions.take(message, self._person(message)):
            await super().on_message(message)

    async def process_message(self, message: Message) -> None:
        if self._chat.is_answered(message.id):
            return
        self._stop.clear()
        reply = Reply(self._chat, self._chat.begin_reply(message.id, self.id), self._questions, self.set_status)
        self.set_status("is thinking…")
        is_settled = True
        try:
            await self._answer(message, reply)
        except GatewayError as error:
            reply.fail(error)
            # A turn that waits to be resumed is gone on with; what was never begun is answered by the error.
            found = await asyncio.to_thread(asked, self._folder, message.id)
            is_settled = found is None or found.ended is not None
        finally:
            self.clear_status()
            reply.finish()
            if is_settled:
                self._chat.settle(message.id)
            else:
                self._chat.save()

    async def cancel_response(self) -> None:
        self._stop.set()
        await self._turns.stop(self._folder)

    async def handle_uncaught_exception(self, exc: Exception) -> None:
        said = (
            f"Something unexpected went wrong ({type(exc).__name__}). See the server's log, and send the message again."
        )
        self.send_message(said)

    async def _answer(self, message: Message, reply: Reply) -> None:
        found = await asyncio.to_thread(asked, self._folder, message.id)
        if found is None:
            attachments = await attachments_of(self._folder, self._chat, message)
            try:
                await self._take((message.body, attachments, message.id), reply)
                return
            except MessageKnown:
                found = await asyncio.to_thread(asked, self._folder, message.id)
        assert found is not None, "a message that is known is in the journal"
        await self._go_on(found, reply)

    async def _go_on(self, found: Asked, reply: Reply) -> None:
        """Of a turn that another server began: what was said, and the rest."""
        reply.restore(found.words)
        if found.ended is not None:
            reply.end(str(found.ended["stop_reason"]), found.usage, found.cost)
            return
        reply.notice(_GOING_ON)
        await self._take(None, reply)

    async def _take(self, asking: Asking, reply: Reply) -> None:
        await self._until_free()
        if self._stop.is_set() and asking is not None:
            reply.notice(_STOPPED)
            return
        running = self._turns.begin(self._folder, asking, reply)
        result = await running.result()
        reply.end(result.stop_reason, result.usage, result.cost)

    async def _until_free(self) -> None:
        """Another turn of this server, by %%ask or over REST, comes first."""
        while (running := self._turns.running(self._folder)) is not None and not self._stop.is_set():
            self.set_status("waits for another turn…")
            stop = asyncio.ensure_future(self._stop.wait())
            await asyncio.wait({stop, running.ended}, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()

    def _person(self, message: Message) -> str:
        """For the audit. Where only a token is known it is whoever runs the server."""
        user = self._chat.get_users().get(message.sender)
        name = str(user.display_name or user.username) if user is not None else ""
        return owner_name() if not name or name.startswith("Anonymous") else name
