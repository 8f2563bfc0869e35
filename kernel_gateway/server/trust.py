"""Which cells of the shared document are trusted: in those Lab shows widgets, and would let HTML act with the person's rights."""

from __future__ import annotations

from typing import Any, cast

from ..notebook.outputs import mapping, sequence, text
from ..notebook.render import Cell

# Up to it every integer is a number of JavaScript.
_EXACT = 2**53 - 1
_WIDGET = "application/vnd.jupyter.widget-view+json"
_WHY_TEXT = (
    "\n\n(An interactive widget, shown as text: it could act with your rights here. Run this cell yourself to use it.)"
)
# What a trusted cell may show. Everything else, HTML above all, is sanitised by Lab in a cell that is not trusted.
_HARMLESS = frozenset(
    (
        _WIDGET,
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
    """The cell as the shared document holds it: marked, and with a word where a widget is not shown. None of this is on disk."""
    cell = browser_numbers(cell)
    trusted = is_trusted(cell)
    marked = {**cell, "metadata": {**cell["metadata"], "trusted": trusted}}
    if not trusted and cell["cell_type"] == "code":
        marked["outputs"] = [_explained(output) for output in cell["outputs"]]
    return marked


def _explained(output: dict[str, Any]) -> dict[str, Any]:
    data = mapping(output.get("data"))
    if _WIDGET not in data:
        return output
    return {**output, "data": {**data, "text/plain": f"{text(data.get('text/plain', ''))}{_WHY_TEXT}"}}


def browser_numbers(value: Any) -> Any:
    """The value with numbers as a browser reads them from JSON. Larger integers are no numbers there, or cannot be shared at all."""
    if isinstance(value, dict):
        return {name: browser_numbers(item) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [browser_numbers(item) for item in cast("list[Any]", value)]
    return float(value) if isinstance(value, int) and abs(value) > _EXACT else value
