"""Rows of ways, measured in rounds: each round takes all ways once, in random order, so that the load of the machine hits all alike."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

WARM_UP_ROUNDS = 1


@dataclass(frozen=True)
class Sample:
    """What one visit of a way measured, in the row's unit, and what there is to say of it."""

    values: Sequence[float]
    note: str = ""


@dataclass
class Way:
    """One way to do a row's work. ``measure`` also prepares and tidies up, outside of what it times."""

    name: str
    measure: Callable[[], Awaitable[Sample]]
    # What the ratio is against, if not the row's base.
    base: str | None = None
    values: list[float] = field(default_factory=list[float])
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def p95(self) -> float:
        """The nearest rank; with few values that is the largest."""
        return sorted(self.values)[math.ceil(0.95 * len(self.values)) - 1]


@dataclass(frozen=True)
class Row:
    """``share`` of the rounds take this row: what takes long is measured less often. ``base`` names the way of ratio 1."""

    key: str
    title: str
    unit: str
    base: str
    ways: Sequence[Way]
    share: float = 1.0

    def ratio(self, way: Way) -> float | None:
        base = next((w for w in self.ways if w.name == (way.base or self.base)), None)
        return way.median / base.median if base is not None and base.values and way.values and base.median else None

    def takes_part(self, number: int) -> bool:
        """Whether in that round, counted from 0: spread evenly, the first one always."""
        return math.ceil((number + 1) * self.share) > math.ceil(number * self.share)


async def measure(rows: Sequence[Row], rounds: int, say: Callable[[str], None]) -> None:
    """Fill the ways with values. The warm-up rounds are discarded."""
    order = random.Random()
    for number in range(-WARM_UP_ROUNDS, rounds):
        visits = [(row, way) for row in rows if number < 0 or row.takes_part(number) for way in row.ways]
        order.shuffle(visits)
        for row, way in visits:
            name = "warm-up" if number < 0 else f"round {number + 1} of {rounds}"
            say(f"{name}: {row.key}, {way.name}")
            sample = await way.measure()
            way.note = sample.note
            if number >= 0:
                way.values.extend(sample.values)
