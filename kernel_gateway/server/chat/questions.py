"""What code asks of the network, put to the person in the chat. ``allow`` or ``deny`` answers; no answer is no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jupyterlab_chat.models import Message, NewMessage

from ...egress.hosts import MEANINGS
from ...errors import GatewayError
from ...supervisor.client import connect
from .rooms import SessionChat

_WORDS = {"allow": True, "deny": False}


@dataclass
class _Open:
    host: str
    message: str
    text: str


def code(text: str) -> str:
    """Foreign text, such that it shows as it is and formats nothing."""
    return "`" + "".join(c if c.isprintable() and c != "`" else "\ufffd" for c in text) + "`"


class Questions:
    """Those of one chat."""

    def __init__(self, chat: SessionChat, sender: str) -> None:
        self._chat, self._sender = chat, sender
        self._open: dict[str, _Open] = {}

    def on_event(self, event: dict[str, Any]) -> None:
        """`question` and `settled`, as `SessionClient.questions` gives them."""
        number = str(event["question"])
        if event["event"] == "question":
            text = worded(event)
            message = self._chat.add_message(NewMessage(body=text, sender=self._sender))
            self._open[number] = _Open(str(event["host"]), message, text)
        elif number in self._open:
            by = f" by {code(str(event['by']))}" if event.get("by") else ""
            self._settle(number, f"{str(event['answer']).capitalize()}{by}.")

    def close(self) -> None:
        """The turn is over, and with it what it asked."""
        for number in tuple(self._open):
            self._settle(number, "It is settled.")

    def _settle(self, number: str, how: str) -> None:
        one = self._open.pop(number)
        self._chat.show(one.message, f"{one.text}\n\n**{how}**")
        self._chat.save()

    async def take(self, message: Message, by: str) -> bool:
        """Whether it was an answer to a question: then nobody else need answer it."""
        words = message.body.split()
        if not words or len(words) > 2 or words[0].lower() not in _WORDS or self._chat.is_answered(message.id):
            return False
        self._chat.settle(message.id)
        wanted = [n for n, one in self._open.items() if len(words) == 1 or one.host == words[1].lower()]
        if len(wanted) != 1:
            self._say(_asked(self._open) if self._open else "Nothing is asked at the moment.")
            return True
        try:
            async with connect(self._chat.folder, start=False) as client:
                await client.answer(wanted[0], allow=_WORDS[words[0].lower()], by=by)
        except GatewayError as error:
            self._say(str(error))
        return True

    def _say(self, text: str) -> None:
        self._chat.add_message(NewMessage(body=text, sender=self._sender))


def _asked(questions: dict[str, _Open]) -> str:
    hosts = ", ".join(code(one.host) for one in questions.values())
    return f"These hosts are asked for: {hosts}. Say which: `allow HOST` or `deny HOST`."


def worded(question: dict[str, Any]) -> str:
    host, mode = code(str(question["host"])), str(question["as"])
    request = "" if mode == "tunnel" else f" ({code(str(question['method']) + ' ' + str(question['path'])[:200])})"
    return (
        f"**The code that runs wants to reach {host}** as {mode}{request}.\n\nThat means: {MEANINGS[mode]}.\n\n"
        f"Reply `allow` or `deny`. No answer within {float(question['seconds']):g} s means no."
    )
