"""A file as a cell: read, run with its outputs shown live, and what is said at its end."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import Any

from ..agent.changes import WorkspaceChanges
from ..config import Settings, parse_seconds
from ..errors import BadRequest, NotFound
from ..sizes import shown_size
from ..supervisor.client import SessionClient
from ..supervisor.runs import RunRequest, RunResult
from ..terminal import escape_name
from .display import Display
from .interrupts import Left, interruptible
from .opening import Opening, opened, say_pictures, say_where
from .questions import answering
from .say import say, say_data

SUFFIXES = {".py": "python", ".sh": "bash", ".bash": "bash", ".js": "node", ".mjs": "node", ".cjs": "node"}
LANGUAGES = ("python", "bash", "node")
SHOWN_FILES = 20
INTERRUPTED = 130


def parse_timeout(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = parse_seconds(text)
    except ValueError:
        seconds = 0.0
    if not seconds:
        raise BadRequest(f"--timeout {text!r} is no time.", "Give seconds, or a time such as 5 min.")
    return seconds


def cell_of(file: str, language: str | None, timeout: float | None) -> RunRequest:
    """The run request of a file. Raises BadRequest for a notebook, an unknown language or what is no text."""
    language = language_of(file, language)
    return make_cell(_read(file), language, timeout)


def make_cell(source: str, language: str, timeout: float | None = None) -> RunRequest:
    """A person's cell in one of the three languages."""
    key, source = uuid.uuid4().hex, source.rstrip("\n")
    if language == "python":
        return RunRequest(run=key, cell=key[:12], source=source, author="person", timeout=timeout)
    needs: Any = (language,)
    source = f"%%{language}\n{source}"
    return RunRequest(
        run=key, cell=key[:12], source=source, author="person", tool=language, timeout=timeout, needs=needs
    )


def language_of(file: str, chosen: str | None) -> str:
    suffix = Path(file).suffix.lower()
    if suffix == ".ipynb":
        raise BadRequest(
            f"{file} is a notebook; run takes the source of one cell.",
            f"Make a script of it first: jupyter nbconvert --to script {file}",
        )
    language = chosen or ("python" if file == "-" else SUFFIXES.get(suffix))
    if language in LANGUAGES:
        return language
    what = f"--language {chosen!r} is not known." if chosen else f"The name {file!r} does not tell its language."
    raise BadRequest(what, f"Give one with --language: {', '.join(LANGUAGES)}.")


def _read(file: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return raw.decode("utf-8-sig")
    except FileNotFoundError:
        raise NotFound(f"There is no file {file!r}.", "Give the path of a file, or - for standard input.") from None
    except OSError as error:
        raise BadRequest(f"{file!r} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise BadRequest(f"{file!r} is not UTF-8 text.", "Convert it first, for example with iconv.") from None


async def run_cell(settings: Settings, opening: Opening, request: RunRequest, *, as_json: bool) -> int:
    """Run it and return the exit code: 0 when the cell succeeded, 1 when not, 130 when the person interrupted it or left."""
    async with opened(settings, opening) as client:
        display = Display()
        display.begin(request.cell)
        changes = WorkspaceChanges(client.folder.workspace)
        await changes.look()
        run = client.run(request, None if as_json else display.outputs)
        try:
            async with answering(client):
                result = await interruptible(run, lambda: client.interrupt(request.run))
        except Left:
            display.end()
            say(
                f"\nThe session goes on without you. See what became of the cell: cell-gateway sessions show {client.folder.id}"
            )
            return INTERRUPTED
        display.end()
        result.files = await _record_files(client, request.run, changes)
        await client.notebook()
        if as_json:
            say_data(described(client.folder.id, result))
        else:
            say_end(result)
            say_pictures(client.folder, display)
            say_where(client.folder)
    return {"ok": 0, "interrupted": INTERRUPTED}.get(result.exit, 1)


async def _record_files(client: SessionClient, run: str, changes: WorkspaceChanges) -> list[dict[str, Any]]:
    """The files that the cell made or changed, recorded beside its run."""
    files, total = await changes.scan()
    if files:
        await client.record("files", run=run, files=files, total=total)
    return files


def say_end(result: RunResult) -> None:
    """What a person must know beyond the outputs: how it ended, what was cut, which files are new."""
    if result.exit not in ("ok", "error"):
        say(f"The cell ended: {result.exit}.")
    if result.notice:
        say(result.notice)
    if result.whole:
        say(
            f"The notebook keeps {shown_size(result.kept)} of {shown_size(result.total)}; the whole is in {result.whole}"
        )
    for file in result.files[:SHOWN_FILES]:
        say(f"  file: {escape_name(file['path'])} ({shown_size(file['bytes'])})")
    if len(result.files) > SHOWN_FILES:
        say(f"  and {len(result.files) - SHOWN_FILES:,} more files")


def described(session: str, result: RunResult) -> dict[str, Any]:
    """The JSON of a run; outputs as nbformat has them."""
    outputs = [{k: v for k, v in output.items() if k != "transient"} for output in result.outputs]
    return {
        "session": session,
        "cell": result.cell,
        "exit": result.exit,
        "outputs": outputs,
        "files": result.files,
        "notice": result.notice,
    }
