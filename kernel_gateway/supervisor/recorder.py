"""From a run's iopub messages to journal records: batched, counted, and cut at the limits without silent loss (P1, P6)."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import DiskFull
from ..journal import Journal, externalize
from ..session.policy import Policy
from .runs import Output, RunRequest
from .zmtp import MESSAGE_BYTES

# A batch is written when it holds this much, or when the supervisor's timer asks for it.
BATCH_BYTES = 64 * 1024
# Of a cut output, this share of the limit is its end; the rest its beginning.
TAIL_SHARE = 0.1
# Displays of one run may hold so many times the stream limit; later ones are counted and left out.
DISPLAY_FACTOR = 10

DISPLAY_KINDS = ("display_data", "execute_result", "update_display_data")


def output_of(kind: str, content: dict[str, Any]) -> Output | None:
    """The journal's output for an iopub message, or None when it is no output. Never raises: the kernel is not trusted.

    Messages: stream, display_data, execute_result, update_display_data, error, clear_output.
    """
    if kind == "stream":
        name = "stderr" if content.get("name") == "stderr" else "stdout"
        return {"output_type": "stream", "name": name, "text": str(content.get("text", ""))}
    if kind == "error":
        frames = content.get("traceback")
        lines = [str(line) for line in frames] if isinstance(frames, list) else []
        return {
            "output_type": "error",
            "ename": str(content.get("ename", "")),
            "evalue": str(content.get("evalue", "")),
            "traceback": lines,
        }
    if kind == "clear_output":
        return {"output_type": "clear_output", "wait": bool(content.get("wait"))}
    if kind in DISPLAY_KINDS:
        return _display(kind, content)
    return None


def _display(kind: str, content: dict[str, Any]) -> Output:
    data, metadata, transient = (content.get(k) for k in ("data", "metadata", "transient"))
    output: Output = {
        "output_type": kind,
        "data": {str(k): v for k, v in data.items()} if isinstance(data, dict) else {},
        "metadata": metadata if isinstance(metadata, dict) else {},
    }
    if kind == "execute_result":
        output["execution_count"] = execution_count(content.get("execution_count"))
    if isinstance(transient, dict) and isinstance(transient.get("display_id"), str):
        output["transient"] = {"display_id": transient["display_id"]}
    return output


def execution_count(value: Any) -> int | None:
    """What a notebook may hold: a whole number from 0, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


class RunRecord:
    """The outputs of one run on their way to the journal. It stays open after the end, for late output."""

    def __init__(
        self, journal: Journal, request: RunRequest, policy: Policy, outputs_folder: Callable[[], Path]
    ) -> None:
        self.request = request
        self.kept = self.total = 0
        # Bytes that could not be written because the disk was full.
        self.lost = 0
        # Whether a timer will call `flush`.
        self.flush_scheduled = False
        self.listeners: list[Callable[[list[Output]], None]] = []
        self._journal, self._policy = journal, policy
        self._outputs_folder = outputs_folder
        self._pending: list[Output] = []
        self._pending_bytes = 0
        self._display_bytes = self._displays_left_out = self._too_large = 0
        self._head: list[str] = []
        self._tail: deque[tuple[str, str]] = deque()
        self._tail_bytes = 0
        self._whole: _WholeOutput | None = None

    def add(self, output: Output) -> bool:
        """One output, in order. False when it is a display over the limit, which is only counted."""
        if output["output_type"] == "stream":
            self._add_stream(output)
        elif not self._add_display(output):
            return False
        if self._pending_bytes >= BATCH_BYTES:
            self.flush()
        return True

    def leave_out(self) -> None:
        """An output that was too large to be received."""
        self._too_large += 1

    @property
    def waiting(self) -> bool:
        return bool(self._pending)

    def flush(self) -> None:
        """Append what is pending and tell the listeners. A full disk loses the batch and counts it."""
        if not self._pending:
            return
        batch, size = self._pending, self._pending_bytes
        self._pending, self._pending_bytes = [], 0
        try:
            # Streams stay in the line: a blob each 64 KB would cost two fsyncs each.
            stored = [o if o["output_type"] == "stream" else externalize(o, self._journal.blobs) for o in batch]
            self._journal.append("output", run=self.request.run, outputs=stored)
        except (DiskFull, OSError):
            self.lost += size
        for listener in self.listeners:
            listener(batch)

    def finish(self) -> dict[str, Any]:
        """Flush everything, the tail of a cut output included; the fields of the ``end`` record that tell of it."""
        self._write_tail()
        self.flush()
        self._head.clear()
        fields: dict[str, Any] = {"kept": self.kept, "total": self.total}
        notices: list[str] = []
        if self._whole is not None:
            fields["whole"] = self._whole.name
            notices.append(self._whole.describe(self.kept, self.total))
            self._whole.close()
            self._whole = None
        if self._displays_left_out:
            notices.append(f"{_counted(self._displays_left_out, 'display')} over the limit and left out.")
        if self._too_large:
            limit = f"{MESSAGE_BYTES // 1024**2} MB"
            notices.append(f"{_counted(self._too_large, 'output')} over {limit} could not be taken and left out.")
        if self.lost:
            notices.append(f"The disk was full: {self.lost:,} bytes of output could not be recorded.")
        if notices:
            fields["notice"] = " ".join(notices)
        return fields

    def _add_stream(self, output: Output) -> None:
        text = output["text"]
        size = len(text.encode("utf-8", "replace"))
        self.total += size
        head_limit = int(self._policy.output_kept * (1 - TAIL_SHARE))
        if self._whole is None and self.kept + size > head_limit:
            self._whole = self._begin_whole()
        if self._whole is None:
            self.kept += size
            self._head.append(text)
            self._queue(output, size)
            return
        self._whole.write(text)
        self._tail.append((output["name"], text))
        self._tail_bytes += size
        while self._tail_bytes > self._policy.output_kept * TAIL_SHARE and len(self._tail) > 1:
            self._tail_bytes -= len(self._tail.popleft()[1].encode("utf-8", "replace"))

    def _queue(self, output: Output, size: int) -> None:
        last = self._pending[-1] if self._pending else None
        if last is not None and last["output_type"] == "stream" and last["name"] == output["name"]:
            last["text"] += output["text"]
        else:
            self._pending.append(dict(output))
        self._pending_bytes += size

    def _add_display(self, output: Output) -> bool:
        size = _size(output)
        self._display_bytes += size
        if self._display_bytes > self._policy.output_kept * DISPLAY_FACTOR:
            self._displays_left_out += 1
            return False
        if self._whole is not None and self._tail:
            # Keeps the order of what is still recorded.
            self._tail_to_pending()
        self._pending.append(output)
        self._pending_bytes += size
        return True

    def _begin_whole(self) -> _WholeOutput:
        whole = _WholeOutput(self._outputs_folder(), self.request.cell, self._policy.output_whole)
        for text in self._head:
            whole.write(text)
        self._head.clear()
        return whole

    def _write_tail(self) -> None:
        if self._whole is None or not self._tail:
            return
        left_out = self.total - self.kept - self._tail_bytes
        if left_out > 0:
            note = f"\n[… {left_out:,} bytes left out; the whole is in outputs/{self._whole.name} …]\n"
            self._pending.append({"output_type": "stream", "name": self._tail[0][0], "text": note})
        self._tail_to_pending()

    def _tail_to_pending(self) -> None:
        for name, text in self._tail:
            size = len(text.encode("utf-8", "replace"))
            self.kept += size
            self._queue({"output_type": "stream", "name": name, "text": text}, size)
        self._tail.clear()
        self._tail_bytes = 0


class _WholeOutput:
    """The whole text of a long output, stdout and stderr as they came, in a file of its own below ``outputs/``."""

    def __init__(self, folder: Path, cell: str, limit: int) -> None:
        safe = re.sub(r"[^A-Za-z0-9_-]", "_", cell)[:64]
        self.name, number = f"{safe}.txt", 2
        while (folder / self.name).exists():
            self.name, number = f"{safe}-{number}.txt", number + 1
        self._fd = os.open(
            folder / self.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644
        )
        self._limit = limit
        self.written = 0
        self._buffer: list[bytes] = []
        self._buffered = 0

    def write(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        if self.written + self._buffered + len(data) > self._limit:
            data = data[: max(0, self._limit - self.written - self._buffered)]
        self._buffer.append(data)
        self._buffered += len(data)
        if self._buffered >= BATCH_BYTES:
            self._flush()

    def describe(self, kept: int, total: int) -> str:
        self._flush()
        where = f"outputs/{self.name}"
        rest = "" if self.written >= total else f" (its first {self.written:,} bytes)"
        return f"The output was cut: {kept:,} of {total:,} bytes are in the notebook; the whole is in {where}{rest}."

    def close(self) -> None:
        self._flush()
        os.close(self._fd)

    def _flush(self) -> None:
        data = memoryview(b"".join(self._buffer))
        self._buffer, self._buffered = [], 0
        while data:
            try:
                written = os.write(self._fd, data)
            except OSError:
                # The disk is full: what is there stays, `describe` says how much that is.
                self._limit = self.written
                return
            self.written += written
            data = data[written:]


def _counted(number: int, what: str) -> str:
    return f"1 {what} was" if number == 1 else f"{number:,} {what}s were"


def _size(value: Any) -> int:
    """Roughly the bytes of an output, without serialising it."""
    total, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, dict):
            waiting.extend(item.values())
            waiting.extend(item.keys())
        elif isinstance(item, list):
            waiting.extend(item)
        else:
            total += 8
    return total
