"""What the command line says: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.status import Status
from rich.text import Text

from ..errors import BadRequest, GatewayError
from ..terminal import clean_text

# Shorter waits show nothing.
PATIENCE_SECONDS = 1.0


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def has_colour(stream: TextIO) -> bool:
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def require_terminal() -> None:
    """Raises BadRequest: a conversation needs someone who types."""
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise BadRequest("chat needs a terminal.", "In a script use: cell-gateway ask PROMPT --session S")


def console(stream: TextIO) -> Console:
    """A console that takes no text for markup: names and words of others pass through it."""
    return Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)


def say(text: str) -> None:
    """A line for a person, on stderr."""
    print(clean_text(text, colour=False), file=sys.stderr, flush=True)


def say_data(data: Any) -> None:
    """The JSON of a command, on stdout. ASCII, so that no name can act on a terminal and lone surrogates survive."""
    print(json.dumps(data, indent=2, ensure_ascii=True, default=str))


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns on stdout, nothing cut: a path must stay whole. Names in it must be escaped already."""
    lines = [list(header), *map(list, rows)]
    widths = [max(cell_len(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        cells = [cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)]
        print("  ".join(cells).rstrip())


def say_error(error: GatewayError, *, as_json: bool) -> None:
    """What happened and the next step."""
    if as_json:
        described = {"type": type(error).__name__, "message": error.message, "next": error.next_step}
        print(json.dumps({"error": described}), file=sys.stderr)
        return
    mark = "\x1b[31mError:\x1b[0m" if has_colour(sys.stderr) else "Error:"
    print(mark, clean_text(error.message, colour=False), file=sys.stderr)
    if error.next_step:
        print(clean_text(error.next_step, colour=False), file=sys.stderr)


class Progress:
    """What is waited for. ``update`` may be called from any thread."""

    def __init__(self, status: Status | None) -> None:
        self._status = status

    def update(self, text: str) -> None:
        if self._status is not None:
            self._status.update(Text(clean_text(text, colour=False)))


@contextmanager
def progress(text: str) -> Generator[Progress]:
    """One line on a terminal's stderr, once the wait has lasted `PATIENCE_SECONDS`; elsewhere nothing."""
    if not is_terminal(sys.stderr):
        yield Progress(None)
        return
    status = Console(stderr=True).status(Text(text))
    timer = threading.Timer(PATIENCE_SECONDS, status.start)
    timer.start()
    try:
        yield Progress(status)
    finally:
        timer.cancel()
        timer.join()
        status.stop()
