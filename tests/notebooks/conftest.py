from __future__ import annotations

from tests.cli.conftest import Cli, Finished, cli

__all__ = ["Cli", "Finished", "cli"]
