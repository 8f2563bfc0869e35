"""What the comparer finds of planted changes, and its false alarms.

Every result is really made again: the record, re-runs in other sandboxes, and each change in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic

from kernel_gateway.image.store import ImageStore
from kernel_gateway.replay.compare.model import Cell, CellVerdict, Options, worst
from kernel_gateway.replay.compare.wire import Pair
from kernel_gateway.replay.sandboxed import compare_in_sandbox
from kernel_gateway.sandbox.bubblewrap import BubblewrapEngine
from kernel_gateway.sandbox.engine import Engine

from .planted import NOTEBOOKS, Notebook
from .planted.running import run_cells

RERUNS = 3
SIDE_BY_SIDE = 2
FOUND = ("differs", "missing", "error")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Planted:
    """The verdict on a notebook with one change; ``reason`` is that of its worst cell."""

    notebook: str
    what: str
    verdict: str
    reason: str


@dataclass
class Score:
    planted: list[Planted] = field(default_factory=list[Planted])
    # Cells of untouched re-runs by verdict, and those that are not what they should be.
    untouched: Counter[str] = field(default_factory=Counter[str])
    alarms: list[Planted] = field(default_factory=list[Planted])
    notebooks: int = 0
    seconds: float = 0.0
    seconds_comparing: float = 0.0

    @property
    def misses(self) -> list[Planted]:
        return [p for p in self.planted if p.verdict not in FOUND]

    @property
    def found(self) -> float:
        return 1 - len(self.misses) / max(1, len(self.planted))

    @property
    def false_alarms(self) -> float:
        return sum(self.untouched[v] for v in FOUND) / max(1, self.untouched.total())


async def measure(notebooks: Sequence[Notebook], reruns: int, say: Say, image: Path | None = None) -> Score:
    engine, image = BubblewrapEngine(), image or ImageStore().ensure().root
    score, began = Score(notebooks=len(notebooks)), monotonic()
    few = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(notebook: Notebook) -> None:
        async with few:
            say(notebook.name)
            await _measure_notebook(engine, image, notebook, reruns, score)

    await asyncio.gather(*(one(n) for n in notebooks))
    # In the order of the suite, whichever was ready first.
    order = [n.name for n in notebooks]
    score.planted.sort(key=lambda p: order.index(p.notebook))
    score.seconds = monotonic() - began
    return score


async def _measure_notebook(engine: Engine, image: Path, notebook: Notebook, reruns: int, score: Score) -> None:
    variants = [notebook.planted(plant) for plant in notebook.plants]
    # A change is compared with the record by itself, or, where chance is in it, by two runs of it.
    doubled = [v for v in variants for _ in range(2)] if notebook.is_chance else variants
    recorded, *planted = await run_cells(engine, image, [notebook.cells, *doubled])
    again = [(await run_cells(engine, image, [notebook.cells]))[0] for _ in range(reruns + notebook.is_chance)]
    step = 2 if notebook.is_chance else 1
    runs = [planted[i : i + step] for i in range(0, len(planted), step)]
    runs += [again[i : i + step] for i in range(reruns)]
    verdicts = await _compare(engine, image, recorded, runs, score)
    for plant, found in zip(notebook.plants, verdicts, strict=False):
        score.planted.append(_worst(notebook.name, plant.what, found))
    for found in verdicts[len(notebook.plants) :]:
        score.untouched.update(v.verdict for v in found)
        score.alarms += [
            Planted(notebook.name, f"cell {n}, untouched", v.verdict, v.reason)
            for n, v in enumerate(found, 1)
            if v.verdict not in ("same", "volatile")
        ]


async def _compare(
    engine: Engine, image: Path, recorded: Sequence[Cell], runs: Sequence[Sequence[Sequence[Cell]]], score: Score
) -> list[list[CellVerdict]]:
    pairs = [Pair(r, *cells) for run in runs for r, *cells in zip(recorded, *run, strict=True)]
    began = monotonic()
    verdicts = await compare_in_sandbox(engine, image, pairs, Options(draw=True))
    score.seconds_comparing += monotonic() - began
    return [verdicts[i : i + len(recorded)] for i in range(0, len(verdicts), len(recorded))]


def _worst(notebook: str, what: str, found: Sequence[CellVerdict]) -> Planted:
    verdict = worst(v.verdict for v in found)
    return Planted(notebook, what, verdict, next((v.reason for v in found if v.verdict == verdict), ""))


def as_text(score: Score, *, every: bool) -> str:
    found, close = len(score.planted) - len(score.misses), sum(p.verdict == "close" for p in score.misses)
    untouched = ", ".join(f"{n} {v}" for v, n in score.untouched.most_common())
    lines = [
        f"planted changes   {len(score.planted)} in {score.notebooks} notebooks",
        f"found             {score.found:.1%}: {found}; {close} more shown as close, {len(score.misses) - close} missed",
        f"false alarms      {score.false_alarms:.1%} of {score.untouched.total()} untouched cells ({untouched})",
        f"time              {score.seconds:.0f} s, of it {score.seconds_comparing:.1f} s comparing",
    ]
    for title, shown in (("Not found", score.misses), ("Untouched, neither same nor volatile", score.alarms)):
        lines += (
            ["", f"{title}:", *(f"  {p.notebook}: {p.what}: {p.verdict} {p.reason}" for p in shown)] if shown else []
        )
    if every:
        found = (p for p in score.planted if p.verdict in FOUND)
        lines += ["", "Found:", *(f"  {p.notebook}: {p.what}: {p.verdict}: {p.reason}" for p in found)]
    return "\n".join(lines)


def as_json(score: Score) -> str:
    values = {
        "planted": len(score.planted),
        "found": score.found,
        "false_alarms": score.false_alarms,
        "untouched": dict(score.untouched),
        "misses": [asdict(p) for p in score.misses],
        "alarms": [asdict(p) for p in score.alarms],
        "changes": [asdict(p) for p in score.planted],
        "seconds": score.seconds,
        "seconds_comparing": score.seconds_comparing,
    }
    return json.dumps(values, indent=1, ensure_ascii=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.comparer", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=[n.name for n in NOTEBOOKS], help="one notebook; may be given more than once"
    )
    parser.add_argument(
        "--reruns", type=int, default=RERUNS, help=f"untouched re-runs of each notebook; default {RERUNS}"
    )
    parser.add_argument("--all", action="store_true", help="also list what was found, with the reasons")
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    arguments = parser.parse_args()
    chosen = [n for n in NOTEBOOKS if arguments.only is None or n.name in arguments.only]
    score = asyncio.run(measure(chosen, arguments.reruns, lambda text: print(text, file=sys.stderr, flush=True)))
    print(as_json(score) if arguments.json else as_text(score, every=arguments.all))
    return 0


if __name__ == "__main__":
    sys.exit(main())
