"""The rows of the table, one module each: ``await row(bench)`` makes what it measures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from ..bench import Bench
from ..measuring import Row
from . import cells, lines, memory, passes, start

ROWS: Mapping[str, Callable[[Bench], Awaitable[Row]]] = {
    "start": start.row,
    "pass": passes.row,
    "lines": lines.row,
    "cell": cells.row,
    "memory": memory.row,
}
