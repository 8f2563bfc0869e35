"""``cell-gateway image``: the folder of interpreter, packages and Node that sessions run in."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ..image.image import Image
from ..image.progress import Progress
from ..image.store import ImageStore
from ..sizes import shown_size
from .say import console, is_terminal, say, say_data

app = typer.Typer(no_args_is_help=True, help="Images: the Python, packages and Node that sessions run in.")

_Name = Annotated[str, typer.Argument(help="A name, or the start of a digest.", show_default=False)]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("build")
def build_command(
    name: Annotated[str, typer.Argument(help="What to call it.")] = "default",
    requirements: Annotated[
        Path | None,
        typer.Option(
            "--requirements",
            "-r",
            metavar="FILE",
            help="Your own packages instead of the default ones, as pip takes them. Wheels only.",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine",
            help="docker, gvisor or podman: also make the root file system of its containers, with Debian's present packages.",
            show_default=False,
        ),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Build an image from this machine's Python. Nothing is done when the same one is there.

    Without -r it gets the packages for data work that come locked with cell-gateway. With -r it gets exactly yours, with ipykernel,
    pip and Node; use it with: cell-gateway ask --image NAME
    """
    from ..image.build import build

    with shown_progress() as progress:
        image = build(ImageStore(), name, requirements, progress)
        if engine is not None:
            from ..image.base import build_base

            build_base(engine, progress)
    say_data(_summary(image)) if as_json else _print_image(image)


@app.command("list")
def list_command(as_json: _Json = False) -> None:
    """List the images of this machine."""
    images = ImageStore().list()
    if as_json:
        say_data([_summary(image) for image in images])
        return
    if not images:
        say("There is no image yet. The first session builds one, or: cell-gateway image build")
        return
    from rich.table import Table

    table = Table("NAME", "DIGEST", "PYTHON", "NODE", "PACKAGES", "SIZE", "CREATED", box=None, pad_edge=False)
    for i in images:
        row = (i.python_version, i.node_version, str(len(i.packages)), shown_size(i.size_bytes), i.created[:16])
        table.add_row(i.name or "-", i.digest[:12], *row)
    console(sys.stdout).print(table)


@app.command("show")
def show_command(name: _Name, as_json: _Json = False) -> None:
    """Show one image: where it lies, what it was made from, and its packages."""
    image = ImageStore().find(name)
    if as_json:
        say_data({**_summary(image), "recipe": dict(image.recipe), "packages": dict(image.packages)})
        return
    _print_image(image)
    for package, version in image.packages.items():
        print(f"{package}=={version}")


@app.command("remove")
def remove_command(name: _Name) -> None:
    """Remove a name. Its files go with the last name; sessions that still run from them break."""
    store = ImageStore()
    image = store.remove(name)
    freed = f" and freed {shown_size(image.size_bytes)}" if not store.has(image.digest) else ""
    print(f"Removed {name}{freed}.")


@contextmanager
def shown_progress() -> Generator[Progress, None, None]:
    """A bar on stderr when that is a terminal, else a line a step."""
    if not is_terminal(sys.stderr):
        yield _print_step
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console(sys.stderr), transient=True) as bar:
        task = bar.add_task("image", total=1.0)

        def advance(step: str, fraction: float) -> None:
            bar.update(task, description=f"image: {step}", completed=fraction)

        yield advance


def _print_step(step: str, fraction: float) -> None:
    say(f"image: {step} ({fraction:.0%})")


def _summary(image: Image) -> dict[str, Any]:
    return {
        "name": image.name,
        "digest": image.digest,
        "path": str(image.root),
        "python": image.python_version,
        "node": image.node_version,
        "packages": len(image.packages),
        "bytes": image.size_bytes,
        "created": image.created,
    }


def _print_image(image: Image) -> None:
    print(f"{image.name or '-'}  {image.digest}")
    made_of = f"Python {image.python_version}, Node {image.node_version}, {len(image.packages)} packages"
    print(f"{made_of}, {shown_size(image.size_bytes)}, built {image.created}")
    print(f"in {image.root}")
