"""An example: its name, its prompts, and the replies to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernel_gateway.scripted_model import Block

Reply = tuple[Block, ...]


@dataclass(frozen=True)
class Story:
    """``files`` lie in `notebooks/data` and are given with the first prompt; ``turns`` are prompts with the replies to each."""

    name: str
    turns: Sequence[tuple[str, Sequence[Reply]]]
    files: Sequence[str] = ()
