"""Texts, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from .model import SAME, Change, Excerpt, Finding, Options, from_changes
from .normal import normalise
from .numbers import compare_words

# Beyond this, lines are paired by position: the cost of matching grows with the square.
_MATCHED_LINES = 3000
_SHOWN_LINES, _AROUND = 16, 1
_WIDEST = 400

# A block of lines: from and to before, from and to after.
Block = tuple[int, int, int, int]
Pair = tuple[int | None, int | None]


def compare(before: str, after: str, options: Options) -> Finding:
    """By lines, after `normalise`; numbers in a line by tolerance."""
    if before == after:
        return SAME
    return compare_normal(normalise(before, options), normalise(after, options), options)


def compare_normal(before: str, after: str, options: Options) -> Finding:
    """As `compare`, of texts that are normalised."""
    if before == after:
        return SAME
    a, b = _lines(before), _lines(after)
    pairs = [pair for block in blocks(a, b) for pair in paired(block)]
    changes = [change for pair in pairs for change in _change(a, b, pair, options)]
    if not changes:
        # The last line break alone.
        changes = [Change("the end", repr(before[-20:]), repr(after[-20:]))]
    return from_changes(changes, _excerpt(a, b, pairs))


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def blocks(before: Sequence[object], after: Sequence[object]) -> Iterator[Block]:
    """The stretches that differ, in order."""
    start, stop = _common_ends(before, after)
    a, b = before[start : len(before) - stop], after[start : len(after) - stop]
    if len(a) == len(b) and (len(a) > _MATCHED_LINES or _mostly_aligned(a, b)):
        yield from (
            (start + i, start + i + 1, start + i, start + i + 1)
            for i, (x, y) in enumerate(zip(a, b, strict=False))
            if x != y
        )
    elif max(len(a), len(b)) > _MATCHED_LINES:
        yield (start, start + len(a), start, start + len(b))
    else:
        matcher = SequenceMatcher(None, a, b, autojunk=False)
        for tag, a0, a1, b0, b1 in matcher.get_opcodes():
            if tag != "equal":
                yield (start + a0, start + a1, start + b0, start + b1)


def _common_ends(a: Sequence[object], b: Sequence[object]) -> tuple[int, int]:
    shorter = min(len(a), len(b))
    start = next((i for i in range(shorter) if a[i] != b[i]), shorter)
    rest = shorter - start
    return start, next((i for i in range(rest) if a[-1 - i] != b[-1 - i]), rest)


def _mostly_aligned(a: Sequence[object], b: Sequence[object]) -> bool:
    return sum(x == y for x, y in zip(a, b, strict=False)) * 2 >= len(a)


def paired(block: Block) -> Iterator[Pair]:
    """What stands against what in a block: by position, the rest alone."""
    a0, a1, b0, b1 = block
    for i in range(max(a1 - a0, b1 - b0)):
        yield (a0 + i if a0 + i < a1 else None, b0 + i if b0 + i < b1 else None)


def _change(a: list[str], b: list[str], pair: Pair, options: Options) -> Iterator[Change]:
    before, after = _both(a, b, pair)
    where = f"line {_number(pair)}"
    if before is None or after is None:
        yield Change(where, before, after)
    elif (verdict := compare_words(before, after, options)) != "same":
        yield Change(where, before, after, verdict == "close")


def _both(a: list[str], b: list[str], pair: Pair) -> tuple[str | None, str | None]:
    left, right = pair
    return None if left is None else a[left], None if right is None else b[right]


def _number(pair: Pair) -> int:
    left, right = pair
    return ((right if left is None else left) or 0) + 1


def _excerpt(a: list[str], b: list[str], pairs: list[Pair]) -> Excerpt:
    """The first lines that differ, with what stands around them."""
    rows: list[tuple[str, tuple[tuple[str | None, str | None], ...]]] = []
    done = 0
    for left, right in pairs[:_SHOWN_LINES]:
        if right is not None:
            # What stands between two stretches that differ is the same on both sides.
            rows += [_row(i + 1, b[i], b[i]) for i in range(max(done, right - _AROUND), right)]
            done = right + 1
        rows.append(_row(_number((left, right)), *_both(a, b, (left, right))))
    if len(pairs) <= _SHOWN_LINES:
        rows += [_row(i + 1, b[i], b[i]) for i in range(done, min(done + _AROUND, len(b)))]
    return Excerpt((), tuple(rows))


def _row(number: int, before: str | None, after: str | None) -> tuple[str, tuple[tuple[str | None, str | None]]]:
    cut = None if before is None else before[:_WIDEST], None if after is None else after[:_WIDEST]
    return str(number), (cut,)
