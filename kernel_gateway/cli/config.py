"""``config show``: each setting, its value and where the value came from."""

from __future__ import annotations

from typing import Any

import typer

from .options import Json

app = typer.Typer(help="Settings.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Settings."""


@app.command()
def show(as_json: Json = False) -> None:
    """Print each setting with its value and where it came from: a flag, the environment, config.toml or the default."""
    from ..config import load_settings
    from ..terminal import escape_name
    from .say import print_table, say_data

    settings = load_settings()
    if as_json:
        say_data({name: {"value": found.value, "source": found.source} for name, found in settings})
        return
    rows = [(name, _shown(name, found.value), found.source) for name, found in settings]
    print_table(("setting", "value", "source"), ([escape_name(cell) for cell in row] for row in rows))


_BYTES = ("limits.memory", "limits.disk", "limits.upload", "limits.output_kept", "limits.output_whole")


def _shown(name: str, value: Any) -> str:
    from ..sizes import shown_size

    if name in _BYTES:
        return shown_size(value)
    if name.startswith("limits.cell_timeout"):
        return f"{value:g} s"
    if name == "retention":
        return "forever" if value is None else f"{value / 86400:g} d"
    return str(value)
