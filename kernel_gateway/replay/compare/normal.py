"""Text as it is compared: what a terminal would show, without what no two runs have in common.

Each rule takes out one well-known form and nothing else; numbers that are no part of such a form stay as they are. Normalising twice is
the same as once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from .model import Options

_SEQUENCE = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]*[0-Z\\^-~])"
_ESCAPES = re.compile(f"{_SEQUENCE}|\x1b")
_MOVES = re.compile(r"[\r\b]|\x1b\[\d*[AK]")
_STEPS = re.compile(rf"\x1b\[(?P<n>\d*)(?P<move>[AK])|{_SEQUENCE}|\x1b|(?P<control>[\n\r\b])|(?P<text>[^\n\r\b\x1b]+)")

# `<function f at 0x7f…>`, `<code object f at 0x7f…, file …>`
_ADDRESS = re.compile(r"(?<=\bat )0x[0-9a-fA-F]{6,16}(?=[>,;\s])")
_IN_BRACKETS = re.compile(r"<[^<>\n]*(?:<[^<>\n]*>[^<>\n]*)*>")
_DURATION = r"(?:\d+(?:\.\d+)?\s?(?:ns|µs|μs|us|ms|s|min|h)\s*)+"

# Places whose whole path says only where something was installed. Found by their end: what stands before is then cut off, for a pattern
# that began with any path would try each slash of a long text.
_PLACES = re.compile(r"[/\\](?P<library>(?:site|dist)-packages)(?=[/\\])|/ipykernel_\d+/\d+\.py")
_BEFORE_PATH = re.compile(r"[\s'\"<>(),=]|(?<![A-Za-z]):|:(?![/\\])")
_LONGEST_PATH = 1000

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"<ipython-input-\d+-[0-9a-f]+>"), "cell.py"),
    (re.compile(r"(?<=/tmp/)tmp[a-z0-9_]{8}(?![a-z0-9_])"), "tmp…"),
    (re.compile(r"(?<=/tmp/)tmp\.[A-Za-z0-9]{10}(?![A-Za-z0-9])"), "tmp…"),
    # %time, %timeit, bash's time, pytest
    (re.compile(r"^(CPU times:|Wall time:|Compiler *:) .*\d.*$", re.M), r"\1 …"),
    (
        re.compile(
            rf"^{_DURATION}(?:±|\+-) {_DURATION}per loop \(mean (?:±|\+-) std\. dev\. of ([\d,]+ runs?), [\d,]+ loops? each\)$",
            re.M,
        ),
        r"… per loop (\1)",
    ),
    (re.compile(r"^The slowest run took [\d.]+ times longer than the fastest\..*$", re.M), "The slowest run took …"),
    (re.compile(r"^(real|user|sys)\t\d+m\d+[.,]\d+s$", re.M), r"\1 …"),
    (re.compile(r"(\d (?:passed|failed|skipped|errors?)\b[\w, ]*?) in \d+\.\d+s(?: \([\d:]+\))?"), r"\1 in …"),
    # Progress: tqdm's clock and rate, pip's rate. What a loop adds behind them stays.
    (
        re.compile(
            r"\[(?:\d+:)?\d\d:\d\d(?:<(?:\?|(?:\d+:)?\d+:\d\d))?,\s+(?:\?|[\d.]+[kMGT]?)\s?(?:[A-Za-z]+/s|s/[A-Za-z]+)"
        ),
        "[…",
    ),
    (re.compile(r"(?<=[kMG]B) [\d.]+ [kMG]?B/s(?: eta [\d:-]+| \d+:\d+:\d+)?"), ""),
)


def normalise(text: str, options: Options) -> str:
    """The text as it is compared."""
    text = screen(text.replace("\r\n", "\n"))
    if "0x" in text:
        text = _IN_BRACKETS.sub(lambda m: _ADDRESS.sub("0x…", m[0]), text)
    text = _without_places(text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return _in_workspace(text, options.workspaces)


def _without_places(text: str) -> str:
    """``site-packages/…`` wherever it lies, and ``cell.py`` for the temporary file that a kernel compiles a cell from."""
    pieces: list[str] = []
    done = 0
    for found in _PLACES.finditer(text):
        before = text[max(done, found.start() - _LONGEST_PATH) : found.start()]
        path = next((m.start() + 1 for m in reversed([*_BEFORE_PATH.finditer(before)])), 0)
        pieces += [text[done : found.start() - len(before) + path], found["library"] or "cell.py"]
        done = found.end()
    return "".join([*pieces, text[done:]])


def screen(text: str) -> str:
    """What stands on a terminal after it printed the text: no colours, and lines as they were last written over."""
    if not _MOVES.search(text):
        return _ESCAPES.sub("", text)
    return _Screen().written(text)


class _Screen:
    def __init__(self) -> None:
        self._lines: list[list[str]] = [[]]
        self._row = self._column = 0
        # Rows that were written over: their ends may hold spaces that hid something longer.
        self._overwritten: set[int] = set()

    def written(self, text: str) -> str:
        for step in _STEPS.finditer(text):
            if step["text"]:
                self._write(step["text"])
            elif step["control"]:
                self._control(step["control"])
            elif step["move"]:
                self._move(step["move"], step["n"])
        lines = ("".join(line) for line in self._lines)
        return "\n".join(line.rstrip(" ") if n in self._overwritten else line for n, line in enumerate(lines))

    def _write(self, text: str) -> None:
        line = self._lines[self._row]
        line.extend(" " * (self._column - len(line)))
        line[self._column : self._column + len(text)] = text
        self._column += len(text)

    def _control(self, which: str) -> None:
        if which == "\b":
            self._column = max(0, self._column - 1)
            return
        self._column = 0
        if which == "\r":
            self._overwritten.add(self._row)
        else:
            self._row += 1
            if self._row == len(self._lines):
                self._lines.append([])

    def _move(self, which: str, count: str) -> None:
        self._overwritten.add(self._row)
        if which == "A":
            self._row = max(0, self._row - int(count[:6] or 1))
            return
        line = self._lines[self._row]
        if count in ("", "0"):
            del line[self._column :]
        else:
            # From the beginning, or all of it: blank.
            upto = self._column if count == "1" else len(line)
            line[:upto] = " " * min(upto, len(line))


def _in_workspace(text: str, folders: Iterable[str]) -> str:
    for folder in sorted({f.rstrip("/") for f in folders} - {"", "/workspace"}, key=len, reverse=True):
        if folder in text:
            text = re.sub(rf"(?<![\w./-]){re.escape(folder)}(?![\w.-])", "/workspace", text)
    return text


class Names:
    """New names for ids, by the order of their appearance: random ones agree between two runs, and what refers to what still shows."""

    _UUID = re.compile(r"\b[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\b")
    _WORD = re.compile(r"[A-Za-z_][\w.:-]*")

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def define(self, name: str) -> str:
        return self._names.setdefault(name, f"id{len(self._names) + 1}")

    def replaced(self, text: str, *, uuids: bool = False) -> str:
        """``text`` with the known ids renamed where they stand as words; ``uuids``: and with each UUID taken for an id."""
        if uuids:
            text = self._UUID.sub(lambda m: self.define(m[0]), text)
        if not self._names:
            return text
        return self._WORD.sub(lambda m: self._names.get(m[0], m[0]), text)


def define_all(names: Names, found: Iterable[str]) -> Callable[[str], str]:
    """Define ids in their order; the function renames them in attributes that refer to them."""
    for name in found:
        names.define(name)
    return names.replaced
