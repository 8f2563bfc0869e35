"""From settings to a new session: its image built, its sandbox tried, its folder made."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Sequence

from ..config import Settings
from ..image.image import Image
from ..image.progress import Progress, silent
from ..image.store import ImageStore
from .folder import SessionFolder
from .mounts import MountRequest


async def create(
    settings: Settings, name: str | None = None, mounts: Sequence[MountRequest] = (), on_step: Progress = silent
) -> SessionFolder:
    """A new session, once it is sure that a sandbox can be made and the image is there; ``name`` None is a readable id.

    Building an image takes minutes: ``on_step`` is called in another thread.
    """
    from ..sandbox.engines import make_engine, presumed
    from .create import create_session, session_values
    from .pool import Pool

    values = session_values(
        settings,
        image=await asyncio.to_thread(ensured_image, settings, on_step),
        engine=presumed(settings["engine"]),
        mounts=mounts,
        model=settings["model"],
        owner=owner_name(),
    )
    if settings["pool.size"] and (claimed := await Pool(settings.data).claim(values, name)):
        # Its sandbox runs already: there is nothing to try.
        return claimed
    values["engine"] = make_engine(settings["engine"]).name
    return create_session(settings.data, values, name)


def ensured_image(settings: Settings, on_step: Progress = silent) -> Image:
    return ImageStore(settings.images).ensure(settings["image"], on_step)


def owner_name() -> str:
    """Whose sessions are made here: who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
