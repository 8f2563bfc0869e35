"""Which cells of the shared document are trusted: in those Lab shows widgets, and would let HTML act with the person's rights."""

from __future__ import annotations

from typing import Any

from ..notebook.outputs import mapping, sequence
from ..notebook.render import Cell

# What a trusted cell may show. Everything else, HTML above all, is sanitised by Lab in a cell that is not trusted.
_HARMLESS = frozenset(
    (
        "application/vnd.jupyter.widget-view+json",
        "application/json",
        "text/plain",
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
    )
)


def is_trusted(cell: Cell) -> bool:
    """A person's own code cell, as long as all that the kernel put into it is harmless.

    Code of the model may have changed what the kernel answers, so who runs a cell does not say who wrote its outputs.
    """
    ours = mapping(cell["metadata"].get("kernel_gateway"))
    if cell["cell_type"] != "code" or ours.get("author") != "person":
        return False
    return all(_is_harmless(mapping(output)) for output in sequence(cell.get("outputs")))


def _is_harmless(output: dict[str, Any]) -> bool:
    return set(mapping(output.get("data"))) <= _HARMLESS


def with_trust(cell: Cell) -> Cell:
    """The cell as the shared document holds it. The mark is never part of the notebook on disk."""
    return {**cell, "metadata": {**cell["metadata"], "trusted": is_trusted(cell)}}
