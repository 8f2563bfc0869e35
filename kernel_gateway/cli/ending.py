"""What ``sessions stop``, ``resume`` and ``delete`` do."""

from __future__ import annotations

import sys
import time

from ..config import load_settings, parse_seconds
from ..errors import BadRequest
from ..session.folder import SessionFolder, SessionStore
from ..session.lifetime import delete_session, standing_of, stop_session, unused_since
from ..session.pool import Pool
from .opening import Opening, opened
from .resuming import bring_back, check_choice
from .say import is_terminal, progress, say, say_data


async def stop(names: list[str], *, stop_all: bool) -> None:
    data = load_settings().data
    store = SessionStore(data)
    folders = [store.find(name) for name in names]
    if not (folders or stop_all):
        raise BadRequest("No session is named.", "Name some, or give --all.")
    for folder in store if stop_all else folders:
        with progress(f"Stopping {folder.id}"):
            was_running = await stop_session(folder)
        if was_running:
            say(f"{folder.id} is stopped; its notebook and files stay.")
        elif not stop_all:
            say(f"{folder.id} was not running.")
    if stop_all:
        await Pool(data).empty()


async def resume(session: str, replay: str | None, *, as_json: bool) -> None:
    """Files at once; variables by a replay, when it is wanted."""
    check_choice(replay)
    settings = load_settings()
    folder = SessionStore(settings.data).find(session)
    was_running = (await standing_of(folder)).state != "stopped"
    found = await bring_back(settings, folder, replay, quiet=as_json)
    async with opened(settings, Opening(folder.id, replay="files")) as client:
        hello = await client.hello()
    if as_json:
        say_data(
            {
                "session": folder.id,
                "was_running": was_running,
                "variables": was_running or found is not None,
                **hello,
                "replay": found.to_json() if found else None,
            }
        )
    elif was_running:
        say(f"{folder.id} is running already; nothing of it was lost.")
    elif found is not None:
        say(f"{folder.id} runs again. Go on: cell-gateway run --session {folder.id} -")
    else:
        say(f"{folder.id} runs again. Its files are all there; its variables are not: the kernel is a new one.")
        say("To have variables back, stop it and resume with: --replay yes")
        say(f"Go on: cell-gateway run --session {folder.id} -")


async def delete(names: list[str], older_than: str | None, *, yes: bool) -> None:
    store = SessionStore(load_settings().data)
    folders = [store.find(name) for name in names]
    if older_than is not None:
        folders += await _old(store, older_than)
    elif not names:
        raise BadRequest("No session is named.", "Name some, or give --older-than 30d.")
    folders = list({folder.id: folder for folder in folders}.values())
    if not folders:
        say("There is nothing to delete.")
        return
    _confirm(folders, yes=yes)
    for folder in folders:
        with progress(f"Deleting {folder.id}"):
            await delete_session(folder)
        say(f"{folder.id} is deleted.")


async def _old(store: SessionStore, older_than: str) -> list[SessionFolder]:
    try:
        age = parse_seconds(older_than)
    except ValueError:
        raise BadRequest(f"--older-than {older_than!r} is no time.", "Give one such as 30d, 12 h or 3600.") from None
    return [f for f in unused_since(store, time.time() - age) if (await standing_of(f)).state == "stopped"]


def _confirm(folders: list[SessionFolder], *, yes: bool) -> None:
    if yes:
        return
    ids = ", ".join(folder.id for folder in folders)
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise BadRequest(f"This would delete {ids} for good.", "Add --yes to do so.")
    print(f"Delete {ids} for good, with notebook and files? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise BadRequest("Nothing was deleted.")
