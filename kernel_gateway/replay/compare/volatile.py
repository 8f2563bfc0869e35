"""What is new in every run, told from what changed: two re-runs that agree with each other are right about the record."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import Match, SequenceMatcher
from itertools import pairwise

from . import cells
from .cells import Item
from .model import Cell, CellVerdict, Change, Finding, Options, Part, from_changes
from .normal import normalise
from .numbers import NUMBER, compare_words

_FINE = ("differs", "close", "same")
_MATCHED_LINES = 3000
# With the sign: a random number has a random one.
_SIGNED = re.compile(rf"([-+]?{NUMBER.pattern[1:-1]})".replace(r"|\.\d", r"|[-+]?\.\d"))


def classify(recorded: Cell, first: Cell, second: Cell, options: Options | None = None) -> CellVerdict:
    """As `compare_cell` of the record and the first re-run, but what differs between the two re-runs is `volatile`.

    In texts by word, in tables, workbooks and structures by place; a picture that is new in each run is volatile as a whole, as long
    as its size agrees.
    """
    options = options or Options()
    parts = [judge(item, match, options) for item, match in matched(recorded, first, second)]
    return cells.cell_verdict(recorded, first, parts)


def matched(recorded: Cell, first: Cell, second: Cell) -> list[tuple[Item, Item | None]]:
    """Each item of record and first re-run, with that of both re-runs that is about the same thing."""
    both = {_side(i, 0): i for i in cells.items(first, second)}
    late = {i.key for i in cells.items(recorded, second) if i.after is None or i.key.startswith("gone")}
    return [(item, _match(item, both, late)) for item in cells.items(recorded, first)]


def _match(item: Item, both: dict[str, Item], late: set[str]) -> Item | None:
    if item.after is None and item.kind != "end":
        # Gone in the first: by chance, if it is there in the second.
        return None if item.key in late else Item(item.key, item.where, item.kind, None, item.before)
    return both.get(_side(item, 1))


def _side(item: Item, side: int) -> str:
    """A name for the first re-run's half of an item, which is the second half against the record and the first against the other."""
    place = item.places[side]
    return f"{place} {item.kind} {item.where.partition(',')[2]}" if place is not None else item.key


def judge(item: Item, match: Item | None, options: Options) -> Part:
    """The verdict on one item in the light of the second re-run; ``match`` None: the second agrees with the first."""
    found = cells.finding(item, options)
    if match is None or found.verdict in ("same", "close"):
        return cells.part(item, found)
    between = cells.finding(match, options)
    if between.verdict in ("same", "close"):
        return cells.part(item, found)
    return cells.part(item, _stable(item, match, found, between, options))


def _stable(item: Item, match: Item, found: Finding, between: Finding, options: Options) -> Finding:
    """What of ``found`` is no chance."""
    if found.verdict not in _FINE or between.verdict not in _FINE:
        return _volatile(between)
    if item.kind in ("stream", "text") and all(
        isinstance(v, str) and v.strip() for v in (item.before, item.after, match.after)
    ):
        texts = [normalise(str(v), options).split("\n") for v in (item.before, item.after, match.after)]
        changes = list(text_changes(texts[0], texts[1], texts[2], options))
    elif item.kind in ("picture", "error") or not found.changes or not between.changes:
        return found if _is_resized(found) and not _is_resized(between) else _volatile(between)
    else:
        chance = {c.where for c in between.changes}
        changes = [c for c in found.changes if c.where not in chance]
    if not any(not c.is_close for c in changes):
        return _volatile(between)
    return replace(from_changes(changes), picture=found.picture, excerpt=found.excerpt)


def _volatile(between: Finding) -> Finding:
    reason = f"new in each run: {between.reason}"
    return replace(between, verdict="volatile", reason=reason)


def _is_resized(found: Finding) -> bool:
    return found.reason.startswith("size ")


def text_changes(
    recorded: Sequence[str], first: Sequence[str], second: Sequence[str], options: Options
) -> Iterator[Change]:
    """What both re-runs agree on, and the record has otherwise."""
    if len(recorded) == len(first) == len(second):
        for n, lines in enumerate(zip(recorded, first, second, strict=False), 1):
            yield from _line(n, *lines, options)
    elif max(len(recorded), len(first), len(second)) <= _MATCHED_LINES:
        yield from _gaps(recorded, first, second, options)


def _line(number: int, recorded: str, first: str, second: str, options: Options) -> Iterator[Change]:
    """By words where the three lines have as many, else the line as a whole."""
    if recorded == first:
        return
    if first == second:
        yield Change(f"line {number}", recorded, first, compare_words(recorded, first, options) == "close")
        return
    a, b, c = (_SIGNED.split(line) for line in (recorded, first, second))
    if (
        len(b) == len(c)
        and len(a) == len(b)
        and any(x != y and y == z for x, y, z in zip(a, b, c, strict=False) if not _is_space(x, y))
    ):
        stable = [(x, y) for x, y, z in zip(a, b, c, strict=False) if x != y and y == z]
        before, after = (" … ".join(pair[side] for pair in stable) for side in (0, 1))
        yield Change(f"line {number}", before, after)


def _is_space(x: str, y: str) -> bool:
    return x.split() == y.split()


def _gaps(recorded: Sequence[str], first: Sequence[str], second: Sequence[str], options: Options) -> Iterator[Change]:
    """Lines that both re-runs have, in order, must stand in the record; and the record has none where neither re-run has any."""
    stable = [(m.a + i, m.b + i) for m in _matching(first, second) for i in range(m.size)]
    lines = [first[i] for i, _ in stable]
    in_record = {m.a + i: m.b + i for m in _matching(lines, recorded) for i in range(m.size)}
    yield from (
        Change(f"line {stable[n][0] + 1}", None, line)
        for n, line in enumerate(lines)
        if n not in in_record and line.strip()
    )
    bounds = [
        (-1, -1, -1),
        *((i, j, in_record.get(n, -2)) for n, (i, j) in enumerate(stable)),
        (len(first), len(second), len(recorded)),
    ]
    for (i0, j0, r0), (i1, j1, r1) in pairwise(bounds):
        if i1 - i0 == 1 and j1 - j0 == 1 and r0 != -2 and r1 - r0 > 1:
            yield from (Change(f"line {n + 1}", recorded[n], None) for n in range(r0 + 1, r1) if recorded[n].strip())


def _matching(a: Sequence[str], b: Sequence[str]) -> list[Match]:
    return SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
