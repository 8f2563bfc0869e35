"""Lines that fit a page: counted as a terminal counts, wide characters twice."""

from __future__ import annotations

import re
import unicodedata


def wrapped(body: str, columns: int) -> str:
    """The text with longer lines continued below, behind a ``↪``; what no font prints becomes a blank."""
    clean = re.sub(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufffe\uffff]", " ", body.expandtabs(4)
    )
    return "\n".join(piece for line in clean.split("\n") for piece in _pieces(line, columns))


def _pieces(line: str, columns: int) -> list[str]:
    if len(line) <= columns // 2:
        return [line]
    pieces: list[str] = []
    start = width = 0
    for place, character in enumerate(line):
        wide = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width + wide > columns:
            pieces.append(line[start:place])
            # What continues begins with two columns of its own.
            start, width = place, 2
        width += wide
    pieces.append(line[start:])
    return [pieces[0], *(f"↪ {piece}" for piece in pieces[1:])]
