"""Comparing what a cell gave with what it gave before, by kind.

These modules run inside a throw-away sandbox on bytes that nobody trusts (`kernel_gateway.replay.sandboxed` sends them there as they are):
they import the standard library, each other, and what the image has: numpy, Pillow, openpyxl, pypdf.
"""

from .cells import compare_cell
from .model import Cell, CellVerdict, Change, Excerpt, Options, Part, Reference, Verdict
from .volatile import classify

__all__ = [
    "Cell",
    "CellVerdict",
    "Change",
    "Excerpt",
    "Options",
    "Part",
    "Reference",
    "Verdict",
    "classify",
    "compare_cell",
]
