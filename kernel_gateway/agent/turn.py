"""One turn: from a person's prompt to the end of the model's work, over the journal, so that it can break off and go on anywhere.

The loop has no state of its own: `next_step` of the last recorded message says what comes next, in a fresh turn as in a resumed one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import BadRequest, MessageKnown
from ..journal import read
from ..session.files import get
from ..session.lock import turn_lock
from ..session.policy import Policy
from ..supervisor.client import SessionClient
from .asking import Asking
from .calls import Answer, Calls
from .changes import Found, WorkspaceChanges, known_files
from .conversation import Attachment, Conversation, attachment_fields, cell_id, next_step, pending_turn, unique_ids
from .history import INTERRUPTED, live_pictures, not_run, salvage
from .listener import Listener
from .model import Model
from .pictures import Convert, Pictures, SentPicture, image_block
from .pricing import Budget, Usage, cost_of, require_price
from .prompt import prompt_text, text_block
from .reply import Block, Reply, storable

# A picture file of a prompt that is larger is named, not shown.
SHOWN_FILE_BYTES = 50 * 1024**2

_WHY_NOT_RUN = {
    "max_tokens": "Not run: the reply reached its limit of tokens before it was complete.",
    "refusal": "Not run: the reply was refused.",
}


@dataclass
class TurnResult:
    """How a turn ended. ``stop_reason`` is the model's, or ``interrupted``, ``budget``, ``abandoned``; ``cost`` in US dollars or None."""

    turn: str
    stop_reason: str
    text: str = ""
    usage: Usage = field(default_factory=Usage)
    cost: float | None = None
    calls: int = 0
    # What the model presented, and what its cells made or changed, each once.
    presented: list[Found] = field(default_factory=list[Found])
    changed: list[Found] = field(default_factory=list[Found])

    def to_json(self) -> dict[str, Any]:
        return {
            "turn": self.turn,
            "stop_reason": self.stop_reason,
            "text": self.text,
            "calls": self.calls,
            "usage": self.usage.to_json(),
            "cost": self.cost,
            "presented": [dict(f) for f in self.presented],
            "changed": [dict(f) for f in self.changed],
        }


class Turn:
    """One prompt at a time on one session. ``system`` must be the same text in each turn of a session, for the prompt cache."""

    def __init__(
        self,
        client: SessionClient,
        model: Model,
        listener: Listener,
        budget: Budget | None = None,
        *,
        system: str,
        convert: Convert | None = None,
    ) -> None:
        self.client, self.model, self.listener = client, model, listener
        self.budget, self.system, self._convert = budget or Budget(), system, convert
        self._conversation: Conversation | None = None
        self._calls: Calls | None = None
        self._asking: Asking | None = None
        self._interrupted = asyncio.Event()

    async def ask(self, prompt: str, attachments: Sequence[Attachment] = (), message: str | None = None) -> TurnResult:
        """A new turn. One that still waits to be resumed is closed first: what ran is kept, the rest answered as not run.

        ``message`` is the caller's own key of the prompt, such as a chat's: each is asked once, ever. Raises MessageKnown for one
        that was, SessionBusy, BadRequest (a budget that cannot be kept), ModelFailure (the turn stays resumable), and what hinders cells
        from running (KernelDied, SupervisorUnavailable, DiskFull …).
        """
        self._check(prompt, attachments)
        prompt = storable(prompt)
        with turn_lock(self.client.folder):
            conversation = await self._load()
            if message is not None and conversation.has("prompt", message=message):
                raise MessageKnown(f"The message {message} was asked already.")
            if pending := pending_turn(conversation.records):
                await self._close(pending.turn, "abandoned")
            turn = conversation.next_turn()
            await conversation.record("turn", turn=turn, state="started")
            fields: dict[str, Any] = {"text": prompt, "attachments": attachment_fields(attachments)}
            if message is not None:
                fields["message"] = message
            await conversation.record("prompt", cell=cell_id(turn, "prompt"), turn=turn, **fields)
            await self._say(turn, prompt, attachments)
            await self._begin(turn).changes.look()
            return await self._go_on(turn)

    async def resume(self) -> TurnResult | None:
        """Go on with the turn that broke off, or None when there is none.

        Runs are awaited or their recorded results used; none is repeated.
        """
        self._check(None, ())
        with turn_lock(self.client.folder):
            conversation = await self._load()
            pending = pending_turn(conversation.records)
            if pending is None:
                return None
            if conversation.last_message(pending.turn) is None:
                if not conversation.of_turn(pending.turn, "prompt"):
                    return await self._end(pending.turn, "abandoned")
                given = conversation.of_turn(pending.turn, "prompt")[0]
                await self._say(pending.turn, given["text"], [Attachment(**a) for a in given["attachments"]])
            self._begin(pending.turn).is_resumed = True
            return await self._go_on(pending.turn)

    async def interrupt(self) -> None:
        """Stop, at any moment: the stream is closed, or the running cell interrupted. The history stays valid."""
        self._interrupted.set()
        if self._asking is not None:
            self._asking.interrupt()
        if self._calls is not None:
            await self._calls.interrupt()

    def _check(self, prompt: str | None, attachments: Sequence[Attachment]) -> None:
        if prompt is not None and not prompt.strip() and not attachments:
            raise BadRequest("The prompt is empty.")
        if self.budget.max_cost is not None:
            require_price(self.model.name, self.model.price)

    async def _load(self) -> Conversation:
        self._conversation = await Conversation.load(self.client)
        self._asking = Asking(self._conversation, self.model, self.listener, self.system, self._interrupted)
        return self._conversation

    @property
    def _talk(self) -> Conversation:
        assert self._conversation is not None, "loaded under the turn's lock"
        return self._conversation

    @property
    def _ask(self) -> Asking:
        assert self._asking is not None, "made when the conversation is loaded"
        return self._asking

    def _begin(self, turn: str) -> Calls:
        values = self.client.folder.read()
        policy = Policy.from_json(values.get("policy", {}))
        changes = WorkspaceChanges(self.client.folder.workspace, known_files(self._talk.records))
        pictures = Pictures(self._convert, live_pictures(self._talk.records))
        self._calls = Calls(
            self._talk, self.listener, policy, changes, pictures, turn, is_interrupted=self._interrupted.is_set()
        )
        return self._calls

    async def _say(self, turn: str, prompt: str, attachments: Sequence[Attachment]) -> None:
        pictures = Pictures(self._convert, live_pictures(self._talk.records))
        content: list[Block] = []
        sent: list[SentPicture] = []
        for attachment in attachments:
            if attachment.mime.startswith("image/") and attachment.bytes <= SHOWN_FILE_BYTES:
                data = await asyncio.to_thread(_read, self.client, attachment.path)
                blocks, one = await pictures.prepare(
                    [image_block(attachment.mime, data)], f"the file {attachment.path}"
                )
                content, sent = content + blocks, sent + one
        content.append(text_block(prompt_text(prompt, attachments)))
        await self._talk.record("message", turn=turn, role="user", content=content, **_pictures(sent))

    async def _go_on(self, turn: str) -> TurnResult:
        while True:
            last = self._talk.last_message(turn)
            assert last is not None, "a turn begins with the person's message"
            if self._interrupted.is_set():
                return await self._close(turn, "interrupted")
            match next_step(last):
                case "run":
                    await self._run(turn, last)
                case "end":
                    return await self._close(turn, str(last.get("stop_reason")))
                case "ask":
                    await self._record_all_words(turn, last)
                    usage, cost = self._talk.spent(turn, self.model.price)
                    if reason := self.budget.exceeded(self._talk.calls_made(turn), cost):
                        self.listener.notice(reason)
                        return await self._close(turn, "budget")
                    await self._record_reply(turn, await self._ask.reply(turn))
                    usage, cost = self._talk.spent(turn, self.model.price)
                    self.listener.usage(usage, cost)

    async def _record_reply(self, turn: str, reply: Reply) -> None:
        """Durable before anything of it runs. A reply that an interrupt broke off has the stop reason ``interrupted``."""
        is_whole = reply.stop_reason is not None and reply.half is None
        blocks = unique_ids(reply.blocks if is_whole else salvage(reply), self._talk.used_ids())
        if reply.stop_reason is None and not blocks:
            self._ask.wasted += [reply.usage] if reply.usage else []
            return
        fields: dict[str, Any] = {
            "id": reply.id,
            "model": reply.model,
            "stop_reason": reply.stop_reason or "interrupted",
            "usage": reply.usage,
            "request_id": reply.request_id,
        }
        if reply.stop_details:
            fields["stop_details"] = reply.stop_details
        if self._ask.wasted:
            fields["wasted"], self._ask.wasted = self._ask.wasted, []
        await self._talk.record("message", turn=turn, role="assistant", content=blocks, **fields)

    async def _run(self, turn: str, message: dict[str, Any]) -> None:
        """Words and calls in the order of their blocks, one after another: there is one kernel."""
        assert self._calls is not None
        answers: list[Answer] = []
        for index, block in enumerate(message["content"]):
            if block.get("type") == "tool_use":
                answers.append(await self._calls.answer(block))
            else:
                await self._record_words(turn, message, index, block)
        self._calls.is_resumed = False
        if not answers:
            # Only a broken server stops for tools without naming one; asking again without an answer would not end.
            answers_text = "You stopped to use a tool, but no tool call arrived."
            await self._talk.record("message", turn=turn, role="user", content=[text_block(answers_text)])
            return
        await self._record_answers(turn, answers)

    async def _record_answers(self, turn: str, answers: Iterable[Answer]) -> None:
        answers = list(answers)
        sent = [p for a in answers for p in a.pictures]
        await self._talk.record(
            "message", turn=turn, role="user", content=[a.block for a in answers], **_pictures(sent)
        )

    async def _record_all_words(self, turn: str, message: dict[str, Any]) -> None:
        if message["role"] == "assistant":
            for index, block in enumerate(message["content"]):
                await self._record_words(turn, message, index, block)

    async def _record_words(self, turn: str, message: dict[str, Any], index: int, block: Block) -> None:
        text = str(block.get("text", "")) if block.get("type") == "text" else ""
        cell = cell_id(turn, f"{message['seq']}-{index}")
        if text.strip() and not self._talk.has("words", cell=cell):
            await self._talk.record(
                "words", cell=cell, turn=turn, text=text, model=message.get("model") or self.model.name
            )

    async def _close(self, turn: str, reason: str) -> TurnResult:
        """Record the last words, answer calls that must not run, and end the turn."""
        last = self._talk.last_message(turn)
        if last is not None and last["role"] == "assistant":
            await self._record_all_words(turn, last)
            why = _WHY_NOT_RUN.get(reason, f"Not run: {INTERRUPTED}.")
            answers = await self._answers_of_closed(turn, last, why)
            if answers:
                await self._record_answers(turn, answers)
            self._tell(reason, last)
        return await self._end(turn, reason)

    async def _answers_of_closed(self, turn: str, last: dict[str, Any], why: str) -> list[Answer]:
        calls = [b for b in last["content"] if b.get("type") == "tool_use"]
        if last.get("stop_reason") != "tool_use" or not calls:
            return [Answer(not_run(b["id"], why)) for b in calls]
        # An abandoned or interrupted turn may have runs that ended, still go on, or wait: their results are true and are told.
        started = await asyncio.to_thread(_started_runs, self.client)
        closing = self._calls or self._begin(turn)
        closing.is_resumed = True
        answers: list[Answer] = []
        for block in calls:
            run = f"{turn}:{block['id']}"
            is_active = await self.client.interrupt(run)
            if is_active or run in started:
                closing.is_interrupted = False
                answers.append(await closing.answer(block))
            else:
                answers.append(Answer(not_run(block["id"], why)))
        return answers

    def _tell(self, reason: str, last: dict[str, Any]) -> None:
        match reason:
            case "refusal":
                details = last.get("stop_details") or {}
                words = details.get("explanation") or "The model refused to answer."
                other = details.get("recommended_model")
                self.listener.notice(
                    f"{words} The prompt is left out of the conversation." + (f" Try --model {other}." if other else "")
                )
            case "max_tokens":
                self.listener.notice(
                    f"The reply reached its limit of {self.model.max_tokens:,} tokens; what it began to call was not run."
                )
            case "model_context_window_exceeded":
                self.listener.notice(
                    "The conversation no longer fits into the model's context: go on in a new session; its files can be handed over."
                )
            case _:
                pass

    async def _end(self, turn: str, reason: str) -> TurnResult:
        usage, cost = self._talk.spent(turn, self.model.price)
        for wasted in map(Usage.from_json, self._ask.wasted):
            usage, cost = usage + wasted, None if cost is None else cost + (cost_of(wasted, self.model.price) or 0.0)
        await self._talk.record("turn", turn=turn, state="ended", stop_reason=reason, usage=usage.to_json(), cost=cost)
        calls = self._calls
        return TurnResult(
            turn,
            reason,
            self._last_words(turn),
            usage,
            cost,
            self._talk.calls_made(turn),
            presented=calls.presented if calls else [],
            changed=list(calls.changed.values()) if calls else [],
        )

    def _last_words(self, turn: str) -> str:
        said = [m for m in self._talk.of_turn(turn, "message") if m["role"] == "assistant"]
        texts = [str(b.get("text", "")) for b in (said[-1]["content"] if said else []) if b.get("type") == "text"]
        return "\n\n".join(texts)


async def take_turn(
    client: SessionClient,
    model: Model,
    prompt: str | None,
    attachments: Sequence[Attachment],
    listener: Listener,
    budget: Budget | None = None,
    *,
    system: str,
    convert: Convert | None = None,
) -> TurnResult:
    """`Turn.ask`, or with ``prompt`` None `Turn.resume`. Raises BadRequest when there is nothing to resume."""
    turn = Turn(client, model, listener, budget, system=system, convert=convert)
    if prompt is not None:
        return await turn.ask(prompt, attachments)
    if (result := await turn.resume()) is None:
        raise BadRequest("There is no unfinished turn in this session.")
    return result


def _pictures(sent: list[SentPicture]) -> dict[str, Any]:
    return {"pictures": sent} if sent else {}


def _read(client: SessionClient, path: str) -> bytes:
    with get(client.folder, path) as file:
        return b"".join(file.chunks())


def _started_runs(client: SessionClient) -> set[str]:
    return {r["run"] for r in read(client.folder.journal).records if r["kind"] == "start"}
