"""A connection to a session, which is woken first: its variables come back when that is short and acts on nothing outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ...config import Settings
from ...errors import GatewayError
from ...image.store import ImageStore
from ...session.folder import SessionFolder
from ...session.lifetime import standing_of
from ...session.lock import resume_lock
from ...supervisor.client import SessionClient, connect
from ...supervisor.death import resume_notice

if TYPE_CHECKING:
    from ...replay.resume import Outlook, Resumed

# Whoever opens a document waits for it: as long as a replay may have taken when it was recorded, and may take now.
OPENING_SECONDS, OPENING_LIMIT = 10.0, 20.0
_HOW = "To have the variables back, which runs {}: stop the session, and resume it with its replay."


@asynccontextmanager
async def awake(settings: Settings, folder: SessionFolder, replay: str = "auto") -> AsyncGenerator[SessionClient]:
    """``replay``: auto, yes or files."""
    await bring_back(settings, folder, replay)
    async with connect(folder) as client:
        yield client


async def bring_back(settings: Settings, folder: SessionFolder, replay: str) -> dict[str, Any] | None:
    """What a replay brought, None when there was none. Who comes while one goes on waits for it."""
    # Also when it runs: a replay that another front end has begun must be over before anybody uses the session.
    async with resume_lock(folder, lambda: None):
        if (await standing_of(folder)).state != "stopped":
            return None
        found = await _outlook(folder)
        if replay == "files" or found is None or (replay == "auto" and found.asks):
            return None
        return (await _resume(settings, folder, found)).to_json()


async def open_at_once(settings: Settings, folder: SessionFolder) -> None:
    """A session runs afterwards. For whoever opens a document and did not ask for a replay: it is done when it was short and acts on
    nothing outside, and broken off when it is not short now. Else only the files are there, and the next run's caller is told so.
    """
    async with resume_lock(folder, lambda: None):
        if (await standing_of(folder)).state != "stopped":
            return
        found, why = await _outlook(folder), ""
        if found is not None and not found.asks and found.recording.seconds <= OPENING_SECONDS:
            try:
                await asyncio.wait_for(_resume(settings, folder, found), OPENING_LIMIT)
                return
            except asyncio.TimeoutError:
                why = f"It was tried, and broken off after {OPENING_LIMIT:.0f} s. "
            except GatewayError as error:
                why = f"It was tried: {error.message} "
        async with connect(folder) as client:
            if found is not None:
                await client.hello(kernel=True)
                await client.notify(f"{resume_notice(found.names)} {why}{_HOW.format(found.words)}")


async def _outlook(folder: SessionFolder) -> Outlook | None:
    from ...replay import resume

    await asyncio.to_thread(resume.recover, folder)
    return await asyncio.to_thread(resume.outlook, folder)


async def _resume(settings: Settings, folder: SessionFolder, found: Outlook) -> Resumed:
    from ...replay import resume
    from ...sandbox.engines import make_engine

    stored = folder.read()
    image = ImageStore(settings.images).find(stored["image"]["digest"])
    return await resume.resume(found, make_engine(stored["engine"]), image.root)


async def cost_of_waking(folder: SessionFolder) -> dict[str, Any]:
    """What bringing the variables back would run."""
    from ...replay import resume

    if (await standing_of(folder)).state != "stopped":
        return {"running": True, "cells": 0, "seconds": 0.0, "network": [], "asks": False}
    found = await asyncio.to_thread(resume.outlook, folder)
    nothing = {"cells": 0, "seconds": 0.0, "network": [], "asks": False}
    return {"running": False, **(found.to_json() if found else nothing)}
