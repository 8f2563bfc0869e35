"""Question 7 of the Census Bureau's Business Trends and Outlook Survey as a small CSV: a row a survey, a column a state.

`python -m notebooks.extract_survey btos_state.xlsx` reads the workbook "State" of the survey's download page.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import openpyxl

OUT = Path(__file__).parent / "data" / "ai-use-by-state.csv"
QUESTION, ANSWER = 7, "Yes"
# "XX": companies in several states.
OTHER = ("XX",)


def extract(workbook: Path, out: Path = OUT) -> None:
    """Percent of businesses, empty where the Bureau suppressed it; ``end`` is the last day on which answers came in."""
    book: Any = openpyxl.load_workbook(workbook, read_only=True)
    head, *rows = book["Response Estimates"].iter_rows(values_only=True)
    states = {
        r[0]: dict(zip(head, r, strict=True)) for r in rows if (r[1], r[4]) == (QUESTION, ANSWER) and r[0] not in OTHER
    }
    dates = [r for r in book["Collection and Reference Dates"].iter_rows(min_row=2, values_only=True) if r[2]]
    with out.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["end", *states])
        for survey, _, end, *_ in sorted(dates):
            if str(survey) in head:
                table.writerow([_iso(end), *(_percent(s[str(survey)]) for s in states.values())])


def _iso(date: str) -> str:
    month, day, year = date.split("/")
    return f"{year}-{month}-{day}"


def _percent(text: str) -> str:
    return text.removesuffix("%") if text.endswith("%") else ""


if __name__ == "__main__":
    extract(Path(sys.argv[1]))
