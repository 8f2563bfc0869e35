"""What hostile text may do to a terminal: nothing but colour it.

Kernel output, file names and a model's words all pass through here. Of the escape sequences only SGR (colours and
styles, less the ones that hide or blink) survives; every other control character, C1 byte, bidi override, line
separator and lone surrogate is shown escaped, as ``\\x1b``. Carriage returns overwrite their line as a terminal would,
so a progress bar leaves one line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# Longer lines are passed on in pieces: an endless line must not fill our memory.
LINE_LIMIT = 64 * 1024
_STYLE_LIMIT = 256

_UNSAFE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff"
_UNSAFE_IN_TEXT = re.compile(f"[{_UNSAFE}]")
_UNSAFE_IN_NAME = re.compile(f"[\t\n{_UNSAFE}\\\\]")
# Longer sequences are no colours, and are not waited for when they arrive in two pieces.
_SGR = re.compile(r"\x1b\[([0-9;:]{0,60})m")
_TOKEN = re.compile(r"\x1b\[[0-9;:]{0,60}m|.", re.DOTALL)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;:]{0,60})?\Z")
_PLAIN = {*range(5), 7, 9, *range(21, 28), 29, *range(30, 38), *range(39, 48), 49, *range(90, 98), *range(100, 108)}
RESET = "\x1b[0m"


def escape_name(name: str) -> str:
    """A file name, id or other single word of somebody else's: no colours, no line breaks, backslashes doubled."""
    return _UNSAFE_IN_NAME.sub(_escaped, name)


def clean_text(text: str, *, colour: bool = True) -> str:
    """A whole text at once; ends without an open colour."""
    cleaner = LineCleaner(colour=colour)
    return cleaner.feed(text) + cleaner.close()


def safe_style(sequence: str) -> str:
    """An SGR sequence without the parts that conceal or blink; empty when nothing is left.

    >>> safe_style("\\x1b[1;8;31m")
    '\\x1b[1;31m'
    """
    match = _SGR.fullmatch(sequence)
    if match is None:
        return ""
    if not match[1]:
        return RESET
    kept = _kept_parameters(match[1].split(";"))
    return f"\x1b[{';'.join(kept)}m" if kept else ""


def _kept_parameters(parts: list[str]) -> list[str]:
    kept: list[str] = []
    while parts:
        part = parts.pop(0)
        if ":" in part:
            kept += [part] if re.fullmatch(r"4:[0-5]|[345]8:[25](:\d{0,3}){1,6}", part) else []
        elif part in ("38", "48"):
            length = {"5": 2, "2": 4}.get(parts[0] if parts else "", 0)
            extended, parts = parts[:length], parts[length:] if length else []
            whole = length and len(extended) == length and all(p.isdigit() and int(p) < 256 for p in extended)
            kept += [part, *extended] if whole else []
        elif part == "" or int(part) in _PLAIN:
            kept.append(part)
    return kept


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\"}.get(character)
    return short or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


@dataclass
class LineCleaner:
    """Cleans a stream that arrives in pieces; where the pieces are cut makes no difference to the whole.

    ``feed`` returns the lines that are finished; ``pending`` is the unfinished one as it looks now, for a terminal
    that shows progress.
    """

    colour: bool = True
    _cells: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    _column: int = 0
    _style: str = ""
    # What the reader of our output has open at the end of what was returned.
    _shown_style: str = ""
    _held: str = ""

    def feed(self, text: str) -> str:
        text, self._held = self._held + text, ""
        if unfinished := _UNFINISHED.search(text):
            self._held, text = unfinished[0], text[: unfinished.start()]
        done: list[str] = []
        if self._cells and "\n" in text:
            first, newline, text = text.partition("\n")
            done = self._finish_lines(first + newline)
        if self._is_plain(text):
            head, newline, tail = text.rpartition("\n")
            done += [head, newline]
            text = tail
        return "".join(done + self._finish_lines(text))

    @property
    def unfinished(self) -> bool:
        return bool(self._cells)

    def pending(self) -> str:
        """The unfinished line, its colours closed; empty when there is none."""
        if not self._cells:
            return ""
        shown, text = self._shown_style, self._render()
        text += RESET if self._shown_style else ""
        self._shown_style = shown
        return text

    def close(self) -> str:
        """The unfinished line, and nothing is left open."""
        for character in self._held:
            self._put(_UNSAFE_IN_TEXT.sub(_escaped, character))
        text = self._render() + (RESET if self._shown_style else "")
        self._cells, self._column, self._style, self._shown_style, self._held = [], 0, "", "", ""
        return text

    def _is_plain(self, text: str) -> bool:
        return not (self._cells or self._style or self._shown_style or self._column or _UNSAFE_IN_TEXT.search(text))

    def _finish_lines(self, text: str) -> list[str]:
        done: list[str] = []
        for token in _TOKEN.findall(text):
            if token == "\n":
                done += [self._render(), "\n"]
                self._cells, self._column = [], 0
            elif token == "\r":
                self._column = 0
            elif len(token) > 1:
                self._restyle(token)
            else:
                self._put(_UNSAFE_IN_TEXT.sub(_escaped, token))
            if len(self._cells) >= LINE_LIMIT:
                done.append(self._render())
                self._cells, self._column = [], 0
        return done

    def _restyle(self, sequence: str) -> None:
        style = safe_style(sequence) if self.colour else ""
        if style == RESET:
            self._style = ""
        elif len(self._style) + len(style) <= _STYLE_LIMIT:
            self._style += style
        else:
            self._style = style

    def _put(self, shown: str) -> None:
        """Overwrite from the cursor on; an escaped character takes as many places as it shows."""
        for character in shown:
            self._cells[self._column : self._column + 1] = [(self._style, character)]
            self._column += 1

    def _render(self) -> str:
        parts: list[str] = []
        for style, character in self._cells:
            if style != self._shown_style:
                parts += [RESET if self._shown_style else "", style]
                self._shown_style = style
            parts.append(character)
        return "".join(parts)
