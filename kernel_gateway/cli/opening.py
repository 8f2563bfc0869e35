"""From options to a running session: found or made, its files put in, connected."""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..config import Settings
from ..errors import BadRequest, SupervisorUnavailable
from ..image.image import Image
from ..session import opening as session_opening
from ..session.folder import SessionFolder, SessionStore
from ..session.mounts import MountRequest, add_mounts, parse_mount
from ..session.pool import fill_in_background
from ..supervisor.client import SessionClient, connect
from .display import Display
from .pictures import links
from .say import progress, say


@dataclass(frozen=True)
class Opening:
    """What a person asked for: a session by name, or a new one (``new_name`` or a readable id), with mounts."""

    session: str | None = None
    new_name: str | None = None
    mounts: Sequence[str] = field(default_factory=tuple)
    # Whether a stopped session's variables come back: yes, no, files, or None to decide; see `resuming`.
    replay: str | None = None


@asynccontextmanager
async def opened(settings: Settings, opening: Opening) -> AsyncGenerator[SessionClient]:
    """A connection to the session; made, and its image built, when it is new. Progress shows on a terminal."""
    folder = await find_or_create(settings, opening)
    made = opening.session is None
    if not made:
        from .resuming import bring_back

        await bring_back(settings, folder, opening.replay)
    with progress("Starting the session"):
        context = connect(folder)
        client = await context.__aenter__()
    try:
        yield client
    finally:
        await context.__aexit__(None, None, None)
    if made and settings["pool.size"]:
        fill_in_background(settings.data, folder.read(), settings["pool.size"])


async def find_or_create(settings: Settings, opening: Opening) -> SessionFolder:
    store = SessionStore(settings.data)
    if opening.session is None:
        return await create(settings, opening)
    if opening.new_name is not None:
        raise BadRequest("--session and --name exclude each other.", "--name makes a new session.")
    folder = store.find(opening.session)
    if opening.mounts:
        await _mount_later(settings, folder, opening.mounts)
    return folder


async def create(settings: Settings, opening: Opening) -> SessionFolder:
    """Progress shows on a terminal."""
    # Here and not by what follows, which would do it in a thread: Ctrl-C then waited for the end of it.
    ensured_image(settings)
    return await session_opening.create(settings, opening.new_name, parse_mounts(settings, opening.mounts))


def ensured_image(settings: Settings) -> Image:
    with progress(f"Preparing the image {settings['image']}") as line:
        return session_opening.ensured_image(
            settings, lambda step, fraction: line.update(f"Image: {step} ({fraction:.0%})")
        )


def parse_mounts(settings: Settings, texts: Sequence[str], known: Sequence[str] = ()) -> list[MountRequest]:
    mounts: list[MountRequest] = []
    for text in texts:
        taken = [*known, *(m.name for m in mounts)]
        mounts.append(parse_mount(text, own=[settings.data, settings.images], taken=taken))
    return mounts


async def _mount_later(settings: Settings, folder: SessionFolder, texts: Sequence[str]) -> None:
    """A sandbox gets its mounts when it starts; a running one takes no more."""
    known = [m["name"] for m in folder.read().get("mounts", [])]
    mounts = parse_mounts(settings, texts, known)
    if await is_running(folder):
        raise BadRequest(
            f"The session {folder.id} is running, and a running session takes no further mounts.",
            f"Stop it first (its variables go): cell-gateway sessions stop {folder.id}",
        )
    add_mounts(folder, mounts)


async def is_running(folder: SessionFolder) -> bool:
    try:
        async with connect(folder, start=False):
            return True
    except SupervisorUnavailable:
        return False


async def put_files(client: SessionClient, paths: Sequence[Path]) -> list[dict[str, object]]:
    """Copy files into the workspace and record each; what was skipped is said. Returns the records."""
    from ..session.files import put

    records: list[dict[str, object]] = []
    for path in paths:
        upload = put(client.folder, path)
        for file in upload.files:
            record = {
                "path": file.path,
                "sha256": file.sha256,
                "bytes": file.bytes,
                "origin": "upload",
                "mime": file.mime,
            }
            await client.record("input", **record)
            records.append({"name": file.path, **record})
        for name, reason in upload.skipped:
            say(f"Skipped {upload.top}/{name}: {reason}.")
    return records


def say_pictures(folder: SessionFolder, display: Display) -> None:
    """Links to what was shown since the last call; the notebook must be up to date."""
    for link in links(folder, display.pictured):
        say(f"  picture: {link}")
    display.pictured.clear()


def say_where(folder: SessionFolder, notebook: Path | None = None) -> None:
    """How each command that ran something ends: where the notebook is, how to open it and how to go on."""
    notebook = notebook or folder.notebook
    say(f"\nNotebook: {notebook}")
    say(f"Open it:  jupyter lab {shlex.quote(str(notebook))}")
    say(f"Session:  {folder.id}   (go on with --session {folder.id})")
