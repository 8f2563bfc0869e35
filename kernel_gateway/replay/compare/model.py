"""What is compared and what comes of it: plain data, the same inside and outside the sandbox."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["same", "close", "volatile", "missing", "differs", "error"]
# From best to worst: a cell is what its worst part is.
VERDICTS: tuple[Verdict, ...] = ("same", "close", "volatile", "missing", "differs", "error")
# Changes that are kept to be judged, and that are told.
KEPT_CHANGES, TOLD_CHANGES = 20_000, 12


class Unreadable(ValueError):
    """The bytes are not of the kind they seem to be, or are made to take too much."""


@dataclass(frozen=True)
class Reference:
    """A file known by its hash alone: the bytes are not at hand, or too many to be sent."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Cell:
    """What a cell gave. ``outputs`` are nbformat dicts whose texts are single strings.

    ``exit`` is ok, error, timeout, interrupted, died or aborted; None: the cell was not run. ``files`` are what it made or changed, by
    path in the workspace.
    """

    source: str = ""
    outputs: Sequence[Mapping[str, Any]] = ()
    exit: str | None = "ok"
    ename: str = ""
    evalue: str = ""
    files: Mapping[str, bytes | Reference] = field(default_factory=dict[str, "bytes | Reference"])


@dataclass(frozen=True)
class Options:
    """How much may differ and still be `close`.

    Numbers: ``relative``, and only where one of the two is written with ``digits`` significant digits or more: doubles hold 15, so a
    changed digit in a shorter number is never rounding. Pictures: no channel of any pixel by more than ``levels`` of 255.
    ``workspaces`` are the folders that a session's files lay in; each is read as ``/workspace``.
    """

    relative: float = 1e-9
    digits: int = 16
    levels: int = 4
    workspaces: tuple[str, ...] = ("/workspace",)
    # Whether differences of pictures are drawn.
    draw: bool = True


@dataclass(frozen=True)
class Change:
    """One place that differs; ``before`` is None where it is new, ``after`` where it is gone. ``is_close``: within tolerance.

    Two empty texts: ``where`` says it all.
    """

    where: str
    before: str | None
    after: str | None
    is_close: bool = False

    def words(self) -> str:
        if self.before is None:
            return f"{self.where} is new: {shown(self.after or '')}"
        if self.after is None:
            return f"{self.where} is gone: {shown(self.before)}"
        if self.before == self.after:
            return self.where
        before, after = focused(self.before, self.after)
        return f"{self.where}: {before} → {after}"


@dataclass(frozen=True)
class Excerpt:
    """A piece of both sides to be shown beside each other: ``rows`` of a label and pairs of what was and what is.

    ``head`` has the columns' names, and is empty where the rows are lines of text. None in a pair: not there on that side.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str | None, str | None], ...]], ...]


@dataclass(frozen=True)
class Finding:
    """What comparing two things of one kind gave: same, close, differs, or error where they could not be compared."""

    verdict: Verdict
    reason: str = ""
    changes: tuple[Change, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])
    picture: bytes | None = None
    excerpt: Excerpt | None = None


@dataclass(frozen=True)
class Part:
    """The verdict on one output, stream, file, or the way a cell ended.

    ``where`` is for people; ``path`` is a file's, ``places`` are the indexes of the outputs in the two cells. ``picture`` is a PNG
    that shows the difference.
    """

    where: str
    kind: str
    verdict: Verdict
    reason: str = ""
    changes: tuple[Change, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])
    picture: bytes | None = None
    excerpt: Excerpt | None = None
    path: str = ""
    places: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True)
class CellVerdict:
    """The verdict on one cell, and what `kernel_gateway.replay.verdict.summarise` needs to find the first cause.

    ``raised`` is the error of the re-run, in one line; ``made`` are the files that the recorded cell made.
    """

    verdict: Verdict
    parts: tuple[Part, ...] = ()
    source: str = ""
    raised: str = ""
    made: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """The worst part's, with where it is."""
        worst = [p for p in self.parts if p.verdict == self.verdict and p.verdict != "same"]
        return f"{worst[0].where}: {worst[0].reason}" if worst else ""


SAME = Finding("same")


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    return VERDICTS[max((VERDICTS.index(v) for v in verdicts), default=0)]


def from_changes(changes: Sequence[Change], excerpt: Excerpt | None = None, measure: str = "rounding") -> Finding:
    """The finding that the changes amount to: close when all of them are, and labelled with the measure."""
    if not changes:
        return SAME
    real = [c for c in changes if not c.is_close]
    first, count = (real or list(changes))[0], len(real or changes)
    more = f" (and {count - 1:,} more)" if count > 1 else ""
    reason = f"{first.words()}{more}"
    kept = (*real, *(c for c in changes if c.is_close))[:KEPT_CHANGES]
    numbers = {"changed": float(len(real)), "close": float(len(changes) - len(real))}
    if real:
        return Finding("differs", reason, kept, numbers, excerpt=excerpt)
    return Finding("close", f"{measure}: {reason}", kept, numbers, excerpt=excerpt)


def shown(text: str, limit: int = 70) -> str:
    """Text on one line, and not too long."""
    line = " ".join(text.split()) or "(nothing)"
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def focused(before: str, after: str) -> tuple[str, str]:
    """Both texts short, with what differs in sight."""
    a, b = " ".join(before.split()), " ".join(after.split())
    if a == b:
        # Only spaces and line breaks differ.
        return repr(before)[:70], repr(after)[:70]
    if max(len(a), len(b)) <= 70:
        return shown(a), shown(b)
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    cut = max(0, start - 24)
    lead = "…" if cut else ""
    return lead + shown(a[cut:], 60), lead + shown(b[cut:], 60)
