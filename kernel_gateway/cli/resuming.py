"""Before a stopped session goes on: whether its variables come back, who is asked, and what is said of it."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from ..config import Settings
from ..errors import BadRequest
from ..session.folder import SessionFolder
from ..session.lifetime import standing_of
from ..session.lock import resume_lock
from .say import is_terminal, say

if TYPE_CHECKING:
    from ..replay.resume import Outlook, Resumed

CHOICES = ("yes", "no", "files")


def check_choice(choice: str | None) -> None:
    """Raises BadRequest."""
    if choice is not None and choice not in CHOICES:
        raise BadRequest(f"--replay {choice!r} is not known.", f"Give one of: {', '.join(CHOICES)}.")


async def bring_back(
    settings: Settings, folder: SessionFolder, choice: str | None = None, *, quiet: bool = False
) -> Resumed | None:
    """Run a stopped session's cells again when that is wanted; None when it runs, has none, or only its files are wanted.

    Without a choice it is done when it is short and acts on nothing outside; else a person at a terminal is asked, a script gets no.
    """
    # Also when it runs: a replay that another front end has begun must be over before anybody uses the session.
    async with resume_lock(folder, lambda: say(f"Another front end is bringing {folder.id} back; waiting for it.")):
        if (await standing_of(folder)).state != "stopped":
            return None
        return await _bring_back(settings, folder, choice, quiet=quiet)


async def _bring_back(settings: Settings, folder: SessionFolder, choice: str | None, *, quiet: bool) -> Resumed | None:
    # Comparing and folding take long to import, and a session that runs needs none of it.
    from ..replay import resume

    resume.recover(folder)
    if choice in ("no", "files") or (found := resume.outlook(folder)) is None:
        return None
    if choice is None and found.asks and not _agreed(found):
        return None
    if not quiet:
        say(f"Bringing the variables of {folder.id} back: {found.words}.")
    return await _run(settings, folder, found, quiet=quiet)


async def _run(settings: Settings, folder: SessionFolder, found: Outlook, *, quiet: bool) -> Resumed:
    from ..image.store import ImageStore
    from ..replay import resume
    from ..sandbox.engines import make_engine
    from .replaying import Shown

    stored: dict[str, Any] = folder.read()
    image = ImageStore(settings.images).find(stored["image"]["digest"])
    engine = make_engine(stored["engine"])
    try:
        result = await resume.resume(found, engine, image.root, progress=Shown(quiet=quiet))
    except (asyncio.CancelledError, KeyboardInterrupt):
        say(
            f"\nBroken off: {folder.id} is stopped again, with all its files and its whole record, and without its variables. "
            f"To go on with files alone: cell-gateway sessions resume {folder.id} --replay files"
        )
        raise
    if not quiet:
        say(result.words)
    return result


def _agreed(found: Outlook) -> bool:
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        say(
            f"The variables do not come back: that would run {found.words}. To have them, stop the session, then: "
            f"cell-gateway sessions resume {found.session} --replay yes"
        )
        return False
    print(f"Run {found.words}? Without that only the files are there. [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
