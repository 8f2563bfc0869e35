"""``python -m benchmarks [--rounds N] [--only ROW] [--json]``: progress on stderr, the table on stdout."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from time import monotonic

from kernel_gateway.errors import GatewayError

from . import machine
from .bench import opened
from .measuring import measure
from .rows import ROWS
from .table import as_json, as_text

ROUNDS = 8


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"after one that is discarded; default {ROUNDS}")
    parser.add_argument("--only", action="append", choices=list(ROWS), help="one row; may be given more than once")
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    arguments = parser.parse_args()
    try:
        print(asyncio.run(run(arguments.rounds, arguments.only or list(ROWS), json_wanted=arguments.json)))
    except GatewayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


async def run(rounds: int, chosen: Sequence[str], *, json_wanted: bool) -> str:
    began, before = monotonic(), machine.load()

    def say(text: str) -> None:
        end = "\r\x1b[K" if sys.stderr.isatty() else "\n"
        print(f"{monotonic() - began:5.0f} s  {text}", end=end, file=sys.stderr, flush=True)

    async with opened(say) as bench:
        rows = [await ROWS[key](bench) for key in ROWS if key in chosen]
        await measure(rows, rounds, say)
        facts = machine.facts(bench.image, bench.versions, before)
    say("done")
    return json.dumps(as_json(rows, facts), indent=1) if json_wanted else as_text(rows, facts)


if __name__ == "__main__":
    sys.exit(main())
