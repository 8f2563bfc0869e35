"""Outputs and words as they arrive, cleaned, on a terminal or into a pipe."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console

from ..sizes import shown_size
from ..supervisor.runs import Output
from ..terminal import RESET, LineCleaner, clean_text
from .pictures import inline, picture_of
from .say import has_colour, is_terminal

_ERASE_LINE = "\r\x1b[K"


@dataclass
class Stream:
    """One of our own streams, and the cleaner of what goes there. On a terminal the unfinished line is shown as it changes."""

    file: TextIO
    live: bool
    cleaner: LineCleaner
    # What stands unfinished at the cursor, as last drawn.
    shown: str = ""
    ends_line: bool = True

    def write(self, text: str) -> None:
        done = self.cleaner.feed(text)
        self._emit(done, self._drawable() if self.live else "")

    def end(self) -> None:
        """Write out the unfinished line; on a terminal it is ended, into a pipe nothing is added."""
        is_open = self.cleaner.unfinished or not self.ends_line
        rest = self.cleaner.close()
        newline = "\n" if self.live and is_open else ""
        self._emit(rest + newline, "")

    def fresh_line(self) -> None:
        """What comes next begins a line."""
        if self.cleaner.unfinished or not self.ends_line:
            self.write("\n")

    def _drawable(self) -> str:
        """The unfinished line when it fits the width, since only one row can be drawn over."""
        pending = self.cleaner.pending()
        return pending if cell_len(clean_text(pending, colour=False)) < Console(file=self.file).width else ""

    def _emit(self, done: str, pending: str) -> None:
        if not done and pending == self.shown:
            return
        erase = _ERASE_LINE if self.shown else ""
        self.file.write(erase + done + pending)
        self.file.flush()
        if visible := done.removesuffix(RESET):
            self.ends_line = visible.endswith("\n")
        self.shown = pending


@dataclass
class Words:
    """A model's words as they come; on a terminal broken between words, since terminals break inside them."""

    file: TextIO
    width: int | None
    _column: int = 0
    # Blanks and letters that are not yet written: only then is it known on which line.
    _gap: str = ""
    _word: str = ""

    def write(self, text: str) -> None:
        text = clean_text(text, colour=False)
        if self.width is None:
            self._column = 0 if text.endswith("\n") else 1
            self.file.write(text)
        else:
            for piece in re.split(r"([ \n])", text):
                self._put(piece, self.width)
        self.file.flush()

    def end(self) -> None:
        """The next thing begins a line."""
        self._flush_word(self.width or 0)
        if self._column:
            self.file.write("\n")
        self._column, self._gap = 0, ""
        self.file.flush()

    def _put(self, piece: str, width: int) -> None:
        if piece not in (" ", "\n"):
            self._word += piece
            return
        self._flush_word(width)
        if piece == "\n":
            self.file.write("\n")
            self._column, self._gap = 0, ""
        else:
            self._gap += " "

    def _flush_word(self, width: int) -> None:
        if not self._word:
            return
        if self._column and self._column + len(self._gap) + cell_len(self._word) > width:
            self.file.write("\n")
            self._column, self._gap = 0, ""
        self.file.write(self._gap + self._word)
        self._column += len(self._gap) + cell_len(self._word)
        self._gap = self._word = ""


def words_on(file: TextIO) -> Words:
    return Words(file, Console(file=file).width if is_terminal(file) else None)


def _stream(file: TextIO, *, colour: bool = True) -> Stream:
    return Stream(file, is_terminal(file), LineCleaner(colour=colour and has_colour(file)))


@dataclass
class Display:
    """Shows one run after another. ``pictured`` are the cells that showed a picture: their files exist once the notebook does."""

    stdout: Stream = field(default_factory=lambda: _stream(sys.stdout))
    stderr: Stream = field(default_factory=lambda: _stream(sys.stderr))
    pictured: list[str] = field(default_factory=list[str])
    cell: str = "cell"
    _last: Stream | None = None
    # The latest state of each display that was updated: shown once, when the cell ends.
    _updated: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    def begin(self, cell: str) -> None:
        self.cell = cell

    def outputs(self, outputs: list[Output]) -> None:
        for output in outputs:
            self._output(output)

    def end(self) -> None:
        """The cell has ended: what is unfinished is written out."""
        for data in self._updated.values():
            self._show(data)
        self._updated.clear()
        self._switch(None)

    def _output(self, output: Output) -> None:
        kind = output.get("output_type")
        if kind == "stream":
            stream = self.stderr if output.get("name") == "stderr" else self.stdout
            self._switch(stream)
            stream.write(_text(output.get("text")))
        elif kind == "error":
            self._line(
                self.stderr, "\n".join(str(line) for line in output.get("traceback", [])) or str(output.get("evalue"))
            )
        elif kind == "update_display_data":
            self._updated[str(output.get("transient", {}).get("display_id"))] = output.get("data", {})
        elif kind in ("display_data", "execute_result"):
            self._show(output.get("data", {}))

    def _show(self, data: Mapping[str, Any]) -> None:
        if (picture := picture_of(data)) is not None:
            self._picture(picture)
        elif (text := _text(data.get("text/plain"))) or (text := _text(data.get("text/markdown"))):
            self._line(self.stdout, text)
        elif data:
            self._line(self.stderr, f"[{', '.join(sorted(data))}: see the notebook]")

    def _picture(self, content: bytes) -> None:
        self.pictured.append(self.cell)
        self._switch(None)
        if self.stdout.live and (drawn := inline(content)):
            self.stdout.file.write(drawn)
        else:
            self._line(self.stderr, f"[picture, {shown_size(len(content))}]")

    def _line(self, stream: Stream, text: str) -> None:
        self._switch(stream)
        stream.fresh_line()
        stream.write(text if text.endswith("\n") else text + "\n")

    def _switch(self, stream: Stream | None) -> None:
        """Both streams may be one terminal: the other's unfinished line is ended before this one writes."""
        if self._last is not None and self._last is not stream:
            self._last.end()
        self._last = stream


def _text(value: Any) -> str:
    """A notebook's text: a string, or a list of lines."""
    return "".join(str(v) for v in value) if isinstance(value, list) else str(value or "")
