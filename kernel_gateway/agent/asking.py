"""One reply of the model, patiently: broken replies are thrown away and asked for again, and an interrupt ends it at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from .. import tools
from .caching import cached_system, with_breakpoints, without_marks
from .conversation import Conversation
from .failures import RESUME, ModelFailure
from .listener import Listener
from .model import Model
from .reply import Assembly, Reply


@dataclass
class Asking:
    """``system`` must be the same text in each turn of a session, for the prompt cache."""

    conversation: Conversation
    model: Model
    listener: Listener
    system: str
    interrupted: asyncio.Event
    # Usage of replies that were thrown away, until a record takes it along.
    wasted: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _streaming: asyncio.Task[None] | None = None

    def interrupt(self) -> None:
        """After `interrupted` was set."""
        if self._streaming is not None:
            self._streaming.cancel()

    async def reply(self, turn: str) -> Reply:
        """A whole reply, or what came before an interrupt. Where a call was cut off it is asked for once more, with more room."""
        reply = await self._ask_patiently(turn, self.model.max_tokens)
        if not reply.is_cut:
            return reply
        self.listener.retract(
            "The reply was longer than its limit of tokens; it is asked for again with twice the room."
        )
        try:
            longer = await self._ask_patiently(turn, 2 * self.model.max_tokens)
        except ModelFailure as failure:
            if failure.kind != "invalid_request_error":
                raise
            # The model allows no more: the reply stays as it is, and what it began to call is not run.
            return reply
        self.wasted.append(reply.usage)
        return longer

    async def _ask_patiently(self, turn: str, max_tokens: int) -> Reply:
        """Replies that broke off are thrown away, nothing of them ran, and asked for again after a pause."""
        for delay in self.model.backoff:
            try:
                return await self._ask_once(turn, max_tokens)
            except ModelFailure as failure:
                if not failure.is_transient or self.interrupted.is_set():
                    raise
                self.listener.retract(f"{failure.message} It is asked for again.")
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.interrupted.wait(), delay)
        return await self._ask_once(turn, max_tokens)

    async def _ask_once(self, turn: str, max_tokens: int) -> Reply:
        body = self._body(max_tokens)
        await self._record_request(turn, body)
        messages = with_breakpoints(self.conversation.messages(turn, self.model.name))
        assembly = Assembly()
        self._streaming = asyncio.ensure_future(
            self.model.stream({**body, "messages": messages}, assembly, self.listener)
        )
        try:
            if self.interrupted.is_set():
                self._streaming.cancel()
            await self._streaming
            if not assembly.is_whole:
                raise ModelFailure("The model's reply ended before it was complete.", RESUME, is_transient=True)
        except asyncio.CancelledError:
            if not self.interrupted.is_set():
                raise
        except ModelFailure:
            if assembly.reply.usage:
                self.wasted.append(assembly.reply.usage)
            raise
        finally:
            self._streaming = None
        return assembly.reply

    def _body(self, max_tokens: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model.name,
            "max_tokens": max_tokens,
            "system": cached_system(self.system),
            "tools": [tool.schema() for tool in tools.TOOLS],
        }
        return body | ({"thinking": self.model.thinking} if self.model.thinking else {})

    async def _record_request(self, turn: str, body: dict[str, Any]) -> None:
        recorded = self.conversation.of_turn(turn, "request")
        if not recorded or recorded[-1]["body"] != without_marks(body):
            await self.conversation.record("request", turn=turn, body=without_marks(body))
