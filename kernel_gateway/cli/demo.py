"""``demo``: no key, no network; a scripted model, everything else real."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the notebook.")] = Path("demo.ipynb"),
) -> None:
    """See it work without a key: a scripted model drives a real kernel in a real sandbox, and a notebook comes out."""
    from ..config import load_settings
    from .showing import show_demo

    raise typer.Exit(asyncio.run(show_demo(load_settings(), out)))
