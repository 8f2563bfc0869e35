"""What a notebook of the conformance suite is, and all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Plant:
    """One change: ``old`` stands once in the notebook's source, and is replaced."""

    what: str
    old: str
    new: str


@dataclass(frozen=True)
class Notebook:
    """``is_chance``: it holds what is new in each run, so that it is judged by two re-runs."""

    name: str
    cells: Sequence[str]
    plants: Sequence[Plant]
    is_chance: bool = False

    def planted(self, plant: Plant) -> list[str]:
        """The cells with the change. Raises ValueError when its place is not there once."""
        if sum(cell.count(plant.old) for cell in self.cells) != 1:
            raise ValueError(f"{self.name}: {plant.what}: {plant.old!r} is not there once")
        return [cell.replace(plant.old, plant.new) for cell in self.cells]
