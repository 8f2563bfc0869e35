from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernel_gateway.cli.replaying import Plan, plan
from kernel_gateway.config import load_settings
from kernel_gateway.session.folder import SessionFolder
from tests.cli.conftest import Cli, Finished, cli

__all__ = ["Cli", "Finished", "cli"]


@pytest.fixture
def planned(data: Path) -> Callable[[Path | SessionFolder], Plan]:
    """A replay as the commands plan it."""
    return lambda source: plan(load_settings({"engine": "bubblewrap"}), source, None)


def code(source: str, *outputs: dict[str, Any], count: int | None = 1, tags: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "metadata": {"tags": list(tags)} if tags else {},
        "source": source,
        "outputs": list(outputs),
        "execution_count": count,
    }


def printed(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def write_notebook(path: Path, *cells: dict[str, Any], **metadata: Any) -> Path:
    """A notebook as anybody's tool writes it."""
    content = {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}
    path.write_text(json.dumps(content))
    return path
