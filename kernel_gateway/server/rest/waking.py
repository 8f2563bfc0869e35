"""A connection to a session, which is woken first: its variables come back when that is short and acts on nothing outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from ...config import Settings
from ...image.store import ImageStore
from ...session.folder import SessionFolder
from ...session.lifetime import standing_of
from ...session.lock import resume_lock
from ...supervisor.client import SessionClient, connect


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
        from ...replay import resume
        from ...sandbox.engines import make_engine

        await asyncio.to_thread(resume.recover, folder)
        if replay == "files" or (found := await asyncio.to_thread(resume.outlook, folder)) is None:
            return None
        if replay == "auto" and found.asks:
            return None
        stored = folder.read()
        image = ImageStore(settings.images).find(stored["image"]["digest"])
        return (await resume.resume(found, make_engine(stored["engine"]), image.root)).to_json()


async def cost_of_waking(folder: SessionFolder) -> dict[str, Any]:
    """What bringing the variables back would run."""
    from ...replay import resume

    if (await standing_of(folder)).state != "stopped":
        return {"running": True, "cells": 0, "seconds": 0.0, "network": [], "asks": False}
    found = await asyncio.to_thread(resume.outlook, folder)
    nothing = {"cells": 0, "seconds": 0.0, "network": [], "asks": False}
    return {"running": False, **(found.to_json() if found else nothing)}
