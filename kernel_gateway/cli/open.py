"""``cell-gateway open``: a session made from anyone's notebook, so that you can go on with it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import EngineName, ImageName, Json
from .replaying import Timeout
from .rerun import SessionNewName

if TYPE_CHECKING:
    from ..replay.source import Recording
    from .replaying import Plan


def register(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("open")(open_)


def open_(
    source: Annotated[
        Path,
        typer.Argument(metavar="NOTEBOOK|ZIP", help="An .ipynb file, or a zip that holds one.", show_default=False),
    ],
    replay: Annotated[bool, typer.Option("--replay", help="Run its cells.")] = False,
    name: SessionNewName = None,
    timeout: Timeout = None,
    image: ImageName = None,
    engine: EngineName = None,
    as_json: Json = False,
) -> None:
    """Make a session of a notebook: its files and itself copied in, its cells run with --replay. Exit code 1 when one failed anew."""
    from ..config import load_settings
    from ..replay.share import unpack
    from .cells import parse_timeout
    from .replaying import plan

    settings, seconds = load_settings({"engine": engine, "image": image}), parse_timeout(timeout)
    with tempfile.TemporaryDirectory(prefix="cell-gateway-") as folder:
        path = unpack(source, Path(folder), settings.policy.upload) if source.suffix.lower() == ".zip" else source
        planned = plan(settings, path, image)
        made = _made(path) if path != source else []
        raise typer.Exit(_open(planned, [path, *made], name, seconds, replay=replay, as_json=as_json))


def _made(path: Path) -> list[Path]:
    """What its cells made, where the zip is one of our exports: a folder beside a notebook of anybody's may hold anything."""
    folder = path.parent / "outputs"
    is_ours = (path.parent / "ro-crate-metadata.json").is_file() and folder.is_dir()
    return sorted(folder.iterdir()) if is_ours else []


def _open(
    planned: Plan, paths: Sequence[Path], name: str | None, timeout: float | None, *, replay: bool, as_json: bool
) -> int:
    from ..replay.rerun import changed
    from .rerun import print_rerun, run_into

    if replay:
        wanted = changed(planned.recording, {}, {})
        found = asyncio.run(run_into(planned, wanted, name, timeout, as_json=as_json))
        print_rerun(planned, found, as_json=as_json)
        return 1 if found.failed else 0
    asyncio.run(_copy_in(planned, paths, name, as_json=as_json))
    return 0


async def _copy_in(planned: Plan, paths: Sequence[Path], name: str | None, *, as_json: bool) -> None:
    from ..replay.inputs import Placed, place_inputs
    from ..replay.shown import recorded_texts
    from .opening import put_files, say_where
    from .say import say, say_data

    recording, placed = planned.recording, Placed()
    origin: dict[str, Any] = recording.origin()
    async with planned.fresh.kept(name, origin) as client:
        await place_inputs(recording.inputs, recording.files, client, placed)
        await put_files(client, paths)
        words = _words(recording)
        await client.record("notice", text=words)
        for cell, shown in recorded_texts(recording):
            await client.record("words", cell=f"recorded-{cell.id}"[:64], text=shown, author="person")
        # Whoever runs the first cell, the model above all, must know that no name of these is there.
        await client.notify(words)
        await client.notebook()
        folder = client.folder
    if as_json:
        say_data({"session": folder.id, "notices": placed.notices, "inputs": sorted(placed.files)})
        return
    for line in [words, *placed.notices]:
        say(line)
    say_where(folder)


def _words(recording: Recording) -> str:
    count = len(recording.runs)
    told = f"Opened from {recording.name}, which lies in the workspace. "
    return told + (
        f"Its {count} code cell{'' if count == 1 else 's'}, with what they gave when they were recorded, are shown here as text: "
        "none of them has run in this session, so their variables are not there. To have them run: cell-gateway open --replay"
    )
