"""How a long piece of work tells how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called when a step begins. ``fraction`` of the whole work, 0 to 1, is an estimate and never falls."""

    def __call__(self, step: str, fraction: float) -> None: ...


def silent(step: str, fraction: float) -> None:
    """Tell nobody."""
