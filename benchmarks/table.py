"""What was measured as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .measuring import Row

_HEAD = ("", "n", "median", "p95", "ratio", "")


def as_text(rows: Sequence[Row], machine: Mapping[str, str]) -> str:
    """One table, then the facts of the machine."""
    lines = [_HEAD, *(line for row in rows for line in _lines(row))]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEAD))]
    shown = [_align(line, widths) for line in lines]
    facts = [f"{name}: {value}" for name, value in machine.items()]
    return "\n".join([*shown, "", *facts])


def as_json(rows: Sequence[Row], machine: Mapping[str, str]) -> dict[str, Any]:
    """``rows`` has one entry a way; values in ``unit``."""
    return {"machine": dict(machine), "rows": [entry for row in rows for entry in _entries(row)]}


def _lines(row: Row) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = [("", "", "", "", "", ""), (f"{row.title} ({row.unit})", "", "", "", "", "")]
    for way in row.ways:
        if not way.values:
            lines.append((f"  {way.name}", "0", "-", "-", "-", way.note))
            continue
        ratio = row.ratio(way)
        shown = "-" if ratio is None else f"{ratio:.2f}"
        lines.append((f"  {way.name}", str(len(way.values)), _number(way.median), _number(way.p95), shown, way.note))
    return lines


def _entries(row: Row) -> list[dict[str, Any]]:
    return [
        {
            "row": row.key,
            "way": way.name,
            "unit": row.unit,
            "n": len(way.values),
            "median": way.median if way.values else None,
            "p95": way.p95 if way.values else None,
            "ratio": row.ratio(way),
            "note": way.note,
        }
        for way in row.ways
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _align(line: tuple[str, ...], widths: Sequence[int]) -> str:
    first, *numbers, note = line
    cells = [first.ljust(widths[0]), *(n.rjust(w) for n, w in zip(numbers, widths[1:-1], strict=True)), note]
    return "  ".join(cells).rstrip()
