"""A run on its way through the supervisor: from a client's request to the end record."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..journal import Record
from ..notebook.setup import needs
from .messages import Message, compose, pack
from .recorder import RunRecord
from .runs import ExitKind, Output, RunRequest

# Evaluated after each successful cell, so that a death can be told with the names it took.
NAMES_KEY = "_cell_gateway_names"
NAMES_EXPRESSION = (
    "' '.join(k for k in get_ipython().user_ns if k[:1] != '_' and k not in get_ipython().user_ns_hidden)[:20000]"
)


@dataclass(frozen=True)
class Origin:
    """The Jupyter client that sent an execute_request; runs from the control socket have none."""

    identities: Sequence[bytes]
    session: str
    allow_stdin: bool
    stop_on_error: bool


@dataclass(eq=False)
class Run:
    """One execution. ``message`` goes to the kernel with the client's own header, so that its parents need no translation."""

    request: RunRequest
    message: Message
    origin: Origin | None = None
    # Silent requests: recorded, but no cell of the notebook.
    hidden: bool = False
    # The supervisor's own: setup cells and the marker after a death. What a caller must be told waits for a caller.
    internal: bool = False
    # A fresh kernel generation first; the source is the restart marker.
    restart: bool = False
    listeners: list[Callable[[list[Output]], None]] = field(default_factory=list)
    record: RunRecord | None = None
    reply: Message | None = None
    idle: Message | None = None
    # Why we end it before its time: timeout or interrupted.
    stopping: ExitKind | None = None
    # What whoever asked for the run must know about that.
    stop_reason: str | None = None
    # Set when the kernel died under it: what the caller must know.
    death: str | None = None
    stop_requested: asyncio.Event = field(default_factory=asyncio.Event)
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Future[Record] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def notice(self) -> None:
        """Completion is the kernel's reply AND idle: either alone can be forged or early."""
        if (self.reply is not None and self.idle is not None) or self.death is not None:
            self.finished.set()

    def exit(self) -> ExitKind:
        if self.stopping is not None:
            return self.stopping
        if self.death is not None:
            return "died"
        status = self.reply.content.get("status") if self.reply else "error"
        return "ok" if status == "ok" else "aborted" if status == "aborted" else "error"


def from_client(message: Message) -> Run:
    """An execute_request of any Jupyter client."""
    content = message.content
    hidden = bool(content.get("silent")) or content.get("store_history") is False
    source = str(content.get("code", ""))
    cell = message.metadata.get("cellId")
    request = RunRequest(
        run=message.id,
        cell=cell_id(cell if isinstance(cell, str) else message.id),
        source=source,
        author="person",
        tool=_tool(source),
        needs=needs(source),
    )
    origin = Origin(
        list(message.identities),
        str(message.header.get("session", "")),
        bool(content.get("allow_stdin")),
        content.get("stop_on_error") is not False,
    )
    return Run(request, _with_our_content(message, content), origin, hidden)


def from_request(
    request: RunRequest,
    session: str,
    *,
    hidden: bool = False,
    restart: bool = False,
    internal: bool = False,
    counts: bool = False,
) -> Run:
    """A run of our own front ends, or of the supervisor itself. ``counts``: it is part of the kernel's history though hidden."""
    content = {"code": request.source, "silent": False, "store_history": counts or not hidden, "allow_stdin": False}
    message = compose("execute_request", session, content)
    return Run(request, _with_our_content(message, content), hidden=hidden, restart=restart, internal=internal)


def _with_our_content(message: Message, content: dict[str, Any]) -> Message:
    # The supervisor aborts queued runs itself: a kernel in its aborting mood would refuse an innocent one of another client.
    expressions = content.get("user_expressions")
    merged = {**(expressions if isinstance(expressions, dict) else {}), NAMES_KEY: NAMES_EXPRESSION}
    ours = {**content, "user_expressions": merged, "stop_on_error": False}
    return Message([message.frames[0], message.frames[1], message.frames[2], pack(ours), *message.frames[4:]])


def start_fields(run: Run, generation: int) -> dict[str, Any]:
    """What a ``start`` record says of a run; fields that say nothing are left out."""
    request = run.request
    always = {k: getattr(request, k) for k in ("run", "cell", "source", "author", "tool")}
    optional = {k: getattr(request, k) for k in ("turn", "tool_use_id", "timeout")}
    optional |= {"tags": list(request.tags) or None, "hidden": run.hidden or None}
    return {**always, "generation": generation, **{k: v for k, v in optional.items() if v is not None}}


def reply_for_client(reply: Message) -> tuple[Message, list[str] | None]:
    """The kernel's reply without our expression, and the names it told (None when it told none)."""
    expressions = reply.content.get("user_expressions")
    if not isinstance(expressions, dict) or NAMES_KEY not in expressions:
        return reply, None
    rest = {k: v for k, v in expressions.items() if k != NAMES_KEY}
    content = {**reply.content, "user_expressions": rest}
    return Message([*reply.frames[:3], pack(content), *reply.frames[4:]]), _names(expressions[NAMES_KEY])


def _names(value: Any) -> list[str] | None:
    try:
        text = ast.literal_eval(value["data"]["text/plain"])
        return sorted({n for n in text.split(" ") if n.isidentifier()})
    except (TypeError, KeyError, ValueError, SyntaxError, AttributeError, RecursionError, MemoryError):
        return None


def _tool(source: str) -> str:
    return next(iter(needs(source)), "python")


def cell_id(wanted: str) -> str:
    """A valid notebook cell id: 1 to 64 of letters, digits, ``-`` and ``_``."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", wanted)[:64] or "cell"
