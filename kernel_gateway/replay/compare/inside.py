"""The program that runs in the sandbox: compares all pairs, in a child of its own that may die of what it reads."""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from . import cells, volatile
from .cells import Item
from .model import Part
from .wire import Pair, Request, part_to_json, unpack

# Of one child; the sandbox has more, so that it is the child that fails.
MEMORY_BYTES = 2 * 1024**3
# Of all pictures of differences; further ones are left out.
_PICTURES_BYTES = 24_000_000
_PIPE_BYTES = 65536

# Pair and item that are next.
Position = tuple[int, int]


@dataclass
class _Begun:
    """The item that the child is at."""

    position: Position
    where: str = "the cell"
    kind: str = "cell"
    path: str = ""


def main(stdin: BinaryIO) -> None:
    """Answers one line a part: ``{"pair": 0, "part": {…}}``, in order."""
    request = unpack(stdin.read())
    deadline = time.monotonic() + request.seconds
    position: Position = (0, 0)
    while position[0] < len(request.pairs):
        begun, why = _run_child(request, position, deadline)
        if begun is None:
            return
        part = Part(begun.where, begun.kind, "error", f"could not be compared: {why}", path=begun.path)
        _answer(begun.position[0], part)
        # A pair whose items cannot even be listed is passed over whole.
        position = (begun.position[0] + 1, 0) if begun.kind == "cell" else (begun.position[0], begun.position[1] + 1)


def _answer(pair: int, part: Part) -> None:
    sys.stdout.write(json.dumps({"pair": pair, "part": part_to_json(part)}) + "\n")
    sys.stdout.flush()


def _run_child(request: Request, position: Position, deadline: float) -> tuple[_Begun | None, str]:
    """Relay what a child answers; None when it did all, else where it ended, and why."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _be_child(request, position, writer)
    os.close(writer)
    begun = _Begun(position)
    why = ""
    try:
        for message in _messages(reader, lambda: min(deadline, time.monotonic() + request.item_seconds)):
            if message is None:
                why = "it took too long"
                os.kill(pid, signal.SIGKILL)
                break
            if "failed" in message:
                why = message["failed"]
            elif "begin" in message:
                begun = _Begun(tuple(message["position"]), *message["begin"])
            else:
                sys.stdout.write(json.dumps(message) + "\n")
    finally:
        os.close(reader)
    sys.stdout.flush()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == 0 and not why:
        return None, ""
    return begun, why or (
        f"the comparing program crashed (signal {-status})" if status < 0 else f"it ended with {status}"
    )


def _messages(fd: int, until: Any) -> Iterator[dict[str, Any] | None]:
    """Lines as they come; None when nothing came until the time was up."""
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        limit = until()
        while True:
            if not selector.select(max(0.0, limit - time.monotonic())):
                yield None
                return
            if not (data := os.read(fd, _PIPE_BYTES)):
                return
            *lines, pending = (pending + data).split(b"\n") if b"\n" in data else [pending + data]
            for line in lines:
                yield json.loads(line)
                limit = until()


def _be_child(request: Request, position: Position, writer: int) -> None:
    """Never returns. What is raised is told, and ends the child."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    with os.fdopen(writer, "w", encoding="utf-8") as pipe, ThreadPoolExecutor(1) as pool:

        def tell(message: dict[str, Any]) -> None:
            pipe.write(json.dumps(message) + "\n")
            pipe.flush()

        # Another thread, for its result holds whatever was raised, even by modules that know nothing of each other.
        failure = pool.submit(_work, request, position, tell).exception()
        if failure is not None:
            tell({"failed": _told(failure)})
    os._exit(0 if failure is None else 1)


def _told(failure: BaseException) -> str:
    if isinstance(failure, MemoryError):
        return "it needs too much memory"
    if isinstance(failure, RecursionError):
        return "it is nested too deeply"
    return f"{type(failure).__name__}: {failure}"[:300]


def _work(request: Request, position: Position, tell: Any) -> None:
    pictures_left = _PICTURES_BYTES
    for number in range(position[0], len(request.pairs)):
        tell({"begin": ["the cell", "cell"], "position": (number, 0)})
        for n, (item, match) in enumerate(_items(request.pairs[number])):
            if (number, n) < position:
                continue
            tell({"begin": [item.where, item.kind, item.path], "position": (number, n)})
            part = volatile.judge(item, match, request.options)
            if part.picture is not None:
                pictures_left -= len(part.picture)
                part = part if pictures_left >= 0 else replace(part, picture=None)
            tell({"pair": number, "part": part_to_json(part)})


def _items(pair: Pair) -> list[tuple[Item, Item | None]]:
    if pair.second is None:
        return [(item, None) for item in cells.items(pair.recorded, pair.again)]
    return volatile.matched(pair.recorded, pair.again, pair.second)
