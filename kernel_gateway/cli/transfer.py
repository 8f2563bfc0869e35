"""What the ``files`` commands do."""

from __future__ import annotations

import dataclasses
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from ..config import load_settings
from ..errors import BadRequest
from ..session import files
from ..session.folder import SessionFolder, SessionStore
from ..sizes import shown_size
from ..terminal import escape_name
from .opening import Opening, opened, put_files
from .say import say, say_data

_MARKS = {"folder": "/", "link": "@", "fifo": "|", "socket": "="}


def _find(session: str) -> SessionFolder:
    return SessionStore(load_settings().data).find(session)


async def put_into(session: str, paths: Sequence[Path], *, as_json: bool) -> None:
    """The session is started when it is not running, since its supervisor records each file."""
    async with opened(load_settings(), Opening(session, replay="files")) as client:
        records = await put_files(client, paths)
    if as_json:
        say_data(records)
        return
    for record in records:
        print(f"{escape_name(str(record['path']))}  {shown_size(int(str(record['bytes'])))}")


def get_from(session: str, path: str, output: str | None, *, force: bool) -> None:
    folder = _find(session)
    with files.get(folder, path) as file:
        if output == "-":
            for chunk in file.chunks():
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            return
        target = _target(path, output)
        _write(file, target, force=force)
    say(f"{escape_name(str(target))} ({shown_size(file.size)})")


def _target(path: str, output: str | None) -> Path:
    name = Path(path).name
    if output is None:
        return Path(name)
    return Path(output) / name if Path(output).is_dir() else Path(output)


def _write(file: files.WorkspaceFile, target: Path, *, force: bool) -> None:
    """Whole or not at all; a file that is there stays unless ``force``."""
    reserved = not force and _reserve(target)
    temporary = target.with_name(f".cell-gateway-{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as copy:
            for chunk in file.chunks():
                copy.write(chunk)
            os.fchmod(copy.fileno(), file.mode & 0o755 | 0o600)
        temporary.replace(target)
    except OSError as error:
        raise BadRequest(f"{target} cannot be written: {error.strerror}.") from error
    finally:
        if temporary.exists():
            temporary.unlink()
            if reserved:
                target.unlink()


def _reserve(target: Path) -> bool:
    try:
        target.touch(exist_ok=False)
    except FileExistsError:
        raise BadRequest(f"{target} exists already.", "Give another place with -o, or --force to replace it.") from None
    except OSError as error:
        raise BadRequest(f"{target} cannot be written: {error.strerror}.") from error
    return True


def list_files(session: str, *, as_json: bool) -> None:
    entries = files.listing(_find(session))
    if as_json:
        say_data([dataclasses.asdict(entry) for entry in entries])
        return
    for entry in entries:
        size = shown_size(entry.size) if entry.kind == "file" else entry.kind
        print(f"{size:>12}  {escape_name(entry.path)}{_MARKS.get(entry.kind, '')}")
