"""A model that follows a script: a loopback server that speaks the Messages API, strictly, for the demo and for tests.

It proves nothing about models; what it proves is that the real SDK, loop, kernel and notebook do what they should when a model
says just this. `python -m kernel_gateway.scripted_model SCRIPT.json` serves one in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from .scripted_checks import Refused, check_request, sign

Block = dict[str, Any]
Event = dict[str, Any]
FaultKind = Literal["cut", "error_event", "bad_json", "bad_input", "early_end"]

REQUEST_BYTES = 32 * 1024**2
_PIECE = 14
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_scripted\r\n"
    b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
)


@dataclass
class Hold:
    """The stream waits before its event number ``before`` until ``release`` is called or the client is gone."""

    before: int
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        self._released.set()

    async def wait(self) -> None:
        self.reached.set()
        await self._released.wait()


@dataclass(frozen=True)
class Fault:
    """What goes wrong before event number ``before`` of a stream.

    ``cut``: the connection ends inside the body; ``error_event``: an SSE ``error`` of ``error_type``; ``bad_json``: a data line that is
    no JSON; ``bad_input``: tool input that is no JSON; ``early_end``: the body ends in order, but too soon.
    """

    kind: FaultKind
    before: int = 3
    error_type: str = "overloaded_error"


@dataclass(frozen=True)
class Refusal:
    """An answer with an HTTP status other than 200."""

    status: int
    error_type: str = "api_error"
    message: str = "scripted"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass
class Scripted:
    """One reply. ``stop_reason`` None: tool_use when there is a call, else end_turn. ``half``: the last block is left open."""

    blocks: Sequence[Block]
    stop_reason: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict[str, Any])
    stop_details: Mapping[str, Any] | None = None
    half: bool = False
    fault: Fault | None = None
    hold: Hold | None = None
    # Whole events instead of those made from ``blocks``, such as recorded ones.
    events: Sequence[Event] | None = None

    @property
    def reason(self) -> str:
        calls = any(b["type"] == "tool_use" for b in self.blocks)
        return self.stop_reason or ("tool_use" if calls else "end_turn")


Answer = Scripted | Refusal
Entry = Scripted | Refusal | Sequence[Block] | Callable[[dict[str, Any]], "Scripted | Refusal | Sequence[Block]"]


def text(words: str) -> Block:
    return {"type": "text", "text": words}


def thinking(words: str) -> Block:
    return {"type": "thinking", "thinking": words, "signature": sign(words)}


def tool_use(id: str, name: str, **arguments: Any) -> Block:
    return {"type": "tool_use", "id": id, "name": name, "input": arguments}


class ScriptedModel:
    """``async with ScriptedModel(turns) as model:`` serves at ``model.base_url``; each accepted request takes the next entry.

    With ``by_position`` the entry is chosen by the number of assistant messages in the request, so that a reply that is asked for a
    second time is given a second time. A request that the real API would refuse gets its 400, and takes no entry.
    """

    def __init__(
        self, turns: Sequence[Entry], *, by_position: bool = False, capabilities: Mapping[str, Any] | None = None
    ) -> None:
        self.turns, self._by_position, self._capabilities = list(turns), by_position, capabilities
        # Bodies of the accepted requests, and the sentences that the others were refused with.
        self.requests: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.base_url = ""
        self._next = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ScriptedModel:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=REQUEST_BYTES + 1)
        port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def continue_with(self, turns: Sequence[Entry]) -> None:
        """Forget the rest of the script and go on with this one."""
        self.turns, self._next = list(turns), 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._open.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer(*await _read_request(reader), reader, writer)
        except asyncio.CancelledError:
            # Only leaving the block cancels; asyncio's own callback for connections would report it as an error.
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(self, line: str, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, path, _ = line.split(" ", 2)
        path = path.partition("?")[0]
        if method == "GET" and path.startswith("/v1/models/") and self._capabilities is not None:
            await _send_json(writer, 200, self._capabilities)
        elif (method, path) != ("POST", "/v1/messages"):
            await _send_error(writer, Refusal(404, "not_found_error", f"{method} {path}"))
        else:
            await self._answer_messages(body, reader, writer)

    async def _answer_messages(self, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(body)
            check_request(request, self._foreign_signatures())
            answer = self._choose(request)
        except (Refused, ValueError) as error:
            self.refused.append(str(error))
            answer, request = Refusal(400, "invalid_request_error", str(error)), {}
        if isinstance(answer, Refusal):
            await _send_error(writer, answer)
        elif not request.get("stream"):
            await _send_json(writer, 200, _whole(answer, request, len(self.requests)))
        else:
            streaming = asyncio.ensure_future(_stream(writer, answer, request, len(self.requests)))
            await _unless_gone(reader, streaming)

    def _foreign_signatures(self) -> frozenset[str]:
        blocks = [b for t in self.turns if isinstance(t, Scripted) for b in _blocks_of(t)]
        return frozenset(str(b["signature"]) for b in blocks if b.get("type") == "thinking" and "signature" in b)

    def _choose(self, request: dict[str, Any]) -> Answer:
        said = sum(m["role"] == "assistant" for m in request["messages"])
        index = said if self._by_position else self._next
        if index >= len(self.turns):
            raise Refused("The script is over.")
        self._next = index + 1
        self.requests.append(request)
        entry = self.turns[index]
        found = entry(request) if callable(entry) else entry
        return found if isinstance(found, (Scripted, Refusal)) else Scripted(found)


def _blocks_of(turn: Scripted) -> Iterator[Block]:
    yield from turn.blocks
    for event in turn.events or []:
        if event.get("type") == "content_block_delta" and event["delta"].get("type") == "signature_delta":
            yield {"type": "thinking", "signature": event["delta"]["signature"]}


async def _unless_gone(reader: asyncio.StreamReader, streaming: asyncio.Future[None]) -> None:
    """Stop streaming when the client closes its side, also while a `Hold` waits."""
    gone = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({streaming, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (streaming, gone):
            task.cancel()
        await asyncio.gather(streaming, gone, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {k.strip().lower(): v.strip() for k, _, v in (h.partition(":") for h in head[1:] if h)}
    return head[0], await reader.readexactly(int(headers.get("content-length", 0)))


async def _send_error(writer: asyncio.StreamWriter, refusal: Refusal) -> None:
    body = {
        "type": "error",
        "error": {"type": refusal.error_type, "message": refusal.message},
        "request_id": "req_scripted",
    }
    await _send_json(writer, refusal.status, body, refusal.headers)


async def _send_json(
    writer: asyncio.StreamWriter, status: int, body: Any, headers: Mapping[str, str] | None = None
) -> None:
    data = json.dumps(body).encode()
    extra = "".join(f"{k}: {v}\r\n" for k, v in (headers or {}).items())
    common = f"content-type: application/json\r\ncontent-length: {len(data)}\r\nconnection: close\r\n"
    head = f"HTTP/1.1 {status} Scripted\r\n{common}{extra}\r\n"
    writer.write(head.encode() + data)
    await writer.drain()


async def _stream(writer: asyncio.StreamWriter, turn: Scripted, request: Mapping[str, Any], number: int) -> None:
    writer.write(_STREAM_HEAD)
    for count, event in enumerate(turn.events or list(_events(turn, request, number))):
        if turn.hold and turn.hold.before == count:
            await writer.drain()
            await turn.hold.wait()
        if turn.fault and turn.fault.before == count and _break(writer, turn.fault):
            return
        _chunk(writer, f"event: {event['type']}\ndata: {json.dumps(event)}\n\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _break(writer: asyncio.StreamWriter, fault: Fault) -> bool:
    """Whether the stream ends here."""
    match fault.kind:
        case "cut":
            # A chunk that promises more than comes.
            writer.write(b"400\r\nevent: content_block_delta\n")
        case "error_event":
            error = {"type": "error", "error": {"type": fault.error_type, "message": "Scripted"}}
            _chunk(writer, f"event: error\ndata: {json.dumps(error)}\n\n")
            writer.write(b"0\r\n\r\n")
        case "bad_json":
            _chunk(writer, 'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"del\n\n')
        case "bad_input":
            delta = {"type": "input_json_delta", "partial_json": "}nonsense"}
            event = {"type": "content_block_delta", "index": 0, "delta": delta}
            _chunk(writer, f"event: content_block_delta\ndata: {json.dumps(event)}\n\n")
            return False
        case "early_end":
            writer.write(b"0\r\n\r\n")
    return True


def _chunk(writer: asyncio.StreamWriter, data: str) -> None:
    raw = data.encode()
    writer.write(b"%x\r\n%s\r\n" % (len(raw), raw))


def _usage(turn: Scripted, request: Mapping[str, Any]) -> dict[str, Any]:
    counts = {
        "input_tokens": len(json.dumps(request["messages"])) // 4,
        "output_tokens": len(json.dumps(list(turn.blocks))) // 4,
    }
    return {**counts, **turn.usage}


def _message(request: Mapping[str, Any], number: int) -> Block:
    return {
        "id": f"msg_scripted_{number}",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": [],
    }


def _whole(turn: Scripted, request: Mapping[str, Any], number: int) -> Block:
    end = {"stop_reason": turn.reason, "stop_sequence": None, "usage": _usage(turn, request)}
    return {**_message(request, number), "content": list(turn.blocks), **end}


def _events(turn: Scripted, request: Mapping[str, Any], number: int) -> Iterator[Event]:
    usage = _usage(turn, request)
    started = {"stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1}}
    yield {"type": "message_start", "message": {**_message(request, number), **started}}
    yield {"type": "ping"}
    for index, block in enumerate(turn.blocks):
        yield from _block_events(index, block, turn.half and index == len(turn.blocks) - 1)
    delta: Block = {"stop_reason": turn.reason, "stop_sequence": None}
    if turn.stop_details:
        delta["stop_details"] = dict(turn.stop_details)
    yield {"type": "message_delta", "delta": delta, "usage": usage}
    yield {"type": "message_stop"}


def _block_events(index: int, block: Block, is_half: bool) -> Iterator[Event]:
    """A block that stays half loses the second half of its deltas and its end."""
    empty, deltas = _deltas(block)
    yield {"type": "content_block_start", "index": index, "content_block": empty}
    for delta in deltas[: len(deltas) // 2] if is_half else deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    if not is_half:
        yield {"type": "content_block_stop", "index": index}


def _deltas(block: Block) -> tuple[Block, list[Block]]:
    """The block as it starts, and the deltas that make it whole; blocks of other kinds come whole at their start."""
    match block["type"]:
        case "text":
            return {**block, "text": ""}, [{"type": "text_delta", "text": p} for p in _pieces(block["text"])]
        case "thinking":
            deltas: list[Block] = [{"type": "thinking_delta", "thinking": p} for p in _pieces(block["thinking"])]
            signed: list[Block] = (
                [{"type": "signature_delta", "signature": block["signature"]}] if "signature" in block else []
            )
            return {"type": "thinking", "thinking": "", "signature": ""}, deltas + signed
        case "tool_use":
            pieces = ["", *_pieces(json.dumps(block["input"]))] if block["input"] else []
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": p} for p in pieces]
        case _:
            return block, []


def _pieces(words: str) -> list[str]:
    return [words[i : i + _PIECE] for i in range(0, len(words), _PIECE)]


@contextmanager
def scripted_model_in_thread(
    turns: Sequence[Entry], *, by_position: bool = False
) -> Generator[ScriptedModel, None, None]:
    """For callers that block, such as a test that waits for a subprocess."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="scripted model", daemon=True)
    thread.start()

    def wait(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    model = ScriptedModel(turns, by_position=by_position)
    try:
        yield wait(model.__aenter__())
    finally:
        wait(model.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _main(script: Path) -> None:
    """The script is a list of replies, each a list of blocks. Prints the base URL, then serves until it is ended."""
    async with ScriptedModel(json.loads(script.read_bytes()), by_position=True) as model:
        sys.stdout.write(model.base_url + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_main(Path(sys.argv[1])))
