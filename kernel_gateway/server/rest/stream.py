"""Server-sent events: a queue that work fills, and a handler that writes it out. Work outlives a reader that leaves."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import orjson
from tornado.iostream import StreamClosedError

from ...errors import GatewayError
from .base import GatewayHandler, described, event

# A comment line while nothing happens keeps proxies from closing the connection.
_QUIET_SECONDS = 15.0
Event = tuple[str, Any]


class Events:
    """Events of one stream, in order; ``None`` ends it."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()

    def put(self, name: str, data: Any) -> None:
        # Serialised now: what the data holds may change.
        self._queue.put_nowait((name, orjson.loads(orjson.dumps(data, default=str))))

    def end(self, error: BaseException | None = None) -> None:
        if isinstance(error, GatewayError):
            self.put("error", described(error))
        elif error is not None:
            said = f"Something unexpected went wrong ({type(error).__name__})."
            self.put("error", {"type": "GatewayError", "message": said, "next": "See the server's log."})
        self._queue.put_nowait(None)

    async def next(self, seconds: float) -> Event | None:
        """Raises TimeoutError."""
        return await asyncio.wait_for(self._queue.get(), seconds)


class StreamHandler(GatewayHandler):
    """A handler that may answer with events."""

    @property
    def wants_events(self) -> bool:
        return "text/event-stream" in self.request.headers.get("Accept", "")

    async def write_events(self, events: Events) -> None:
        """Until the stream ends or the reader leaves."""
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")
        self.set_header("Content-Type", "text/event-stream")
        with suppress(StreamClosedError):
            await self.flush()
            while True:
                try:
                    found = await events.next(_QUIET_SECONDS)
                except asyncio.TimeoutError:
                    self.write(b": still here\n\n")
                else:
                    if found is None:
                        break
                    self.write(event(*found))
                await self.flush()
            self.finish(set_content_type="text/event-stream")


def background(settings: dict[str, Any], task: asyncio.Task[Any]) -> None:
    """Keep a task alive that no request waits for any more."""
    tasks: set[asyncio.Task[Any]] = settings.setdefault("cell_gateway_tasks", set())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    task.add_done_callback(lambda done: None if done.cancelled() else done.exception())
