"""What the commands that replay have in common: the notebook that is named, the session it goes into, and what shows meanwhile."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ..config import Settings
from ..image.image import Image
from ..replay.environment import Environment, builder, choose
from ..replay.fresh import Fresh
from ..replay.replay import Progress
from ..replay.source import RecordedCell, Recording, read_recording
from ..sandbox.engine import Engine
from ..session.folder import SessionFolder, SessionStore
from ..session.opening import owner_name
from .display import Display
from .opening import ensured_image
from .options import complete_session
from .say import is_terminal, progress, say
from .terminal import escape_name

Source = Annotated[
    str,
    typer.Argument(
        metavar="SESSION|NOTEBOOK",
        help="A session's id, a unique prefix of it, last, or the path of an .ipynb file.",
        autocompletion=complete_session,
        show_default=False,
    ),
]
Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        help="Seconds for a cell, or a time such as 5 min; else 5 min, or four times what it took.",
        show_default=False,
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Run only with the recorded packages and Python; else exit code 2.")
]
_SOURCE = 60
T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """All that a replay needs."""

    recording: Recording
    environment: Environment
    engine: Engine
    fresh: Fresh


def find_source(settings: Settings, source: str) -> Path | SessionFolder:
    """A path when it looks like one, else a session."""
    if source.endswith((".ipynb", ".zip")) or "/" in source or source in (".", ".."):
        return Path(source)
    return SessionStore(settings.data).find(source)


def plan(settings: Settings, source: Path | SessionFolder, image: str | None, *, strict: bool = False) -> Plan:
    """Read the notebook, find its image or build it, and a sandbox; ``strict`` raises OtherEnvironment for other packages.

    Limits and mounts hold again of this machine's own sessions alone.
    """
    from ..image.store import ImageStore
    from ..sandbox.engines import make_engine

    recording = read_recording(source)
    store = ImageStore(settings.images)
    engine = make_engine(settings["engine"])

    def build(lock: str, python: str) -> Image:
        with progress("Building the recorded environment") as line:

            def tell(step: str, fraction: float) -> None:
                line.update(f"Recorded packages: {step} ({fraction:.0%})")

            return builder(store, engine, tell)(lock, python)

    environment = choose(recording, store, lambda: ensured_image(settings), build=build, is_chosen=image is not None)
    if strict:
        environment.insist()
    return Plan(recording, environment, engine, Fresh(settings.data, _values(settings, recording, environment, engine)))


def _values(settings: Settings, recording: Recording, environment: Environment, engine: Engine) -> dict[str, Any]:
    from ..session.create import session_values
    from ..session.mounts import MountRequest

    stored = _stored(settings, recording)
    mounts = [MountRequest(Path(m["source"]), m["name"]) for m in stored.get("mounts", [])]
    for gone in [m for m in mounts if not m.source.exists()]:
        say(f"The mount inputs/{gone.name} is not there any more.")
    there = [m for m in mounts if m.source.exists()]
    values = session_values(
        settings,
        image=environment.image,
        engine=engine.name,
        mounts=there,
        model=stored.get("model") or settings["model"],
        owner=owner_name(),
    )
    return {**values, "policy": stored.get("policy", values["policy"])}


def _stored(settings: Settings, recording: Recording) -> dict[str, Any]:
    """What holds of a session's own limits and mounts: nothing, unless this machine made it. A folder that somebody sent can say that
    it is a session, too.
    """
    session = recording.session
    if session is None or session.path.resolve().parent != SessionStore(settings.data).root.resolve():
        return {}
    return session.read()


class Shown(Progress):
    """Progress on stderr: each cell as it begins, and with ``outputs`` what it prints."""

    def __init__(self, *, quiet: bool, outputs: bool = False) -> None:
        display = Display() if outputs and not quiet else None
        super().__init__(
            begin=self._begin,
            output=display.outputs if display is not None else lambda outputs: None,
            notice=lambda text: None if quiet else say(text),
        )
        self._quiet, self._display = quiet or not (outputs or is_terminal(sys.stderr)), display

    def _begin(self, cell: RecordedCell, total: int) -> None:
        self.end()
        if self._display is not None:
            self._display.begin(cell.id)
        if not self._quiet:
            took = f", took {cell.duration:.1f} s" if cell.duration >= 1 else ""
            say(f"[{cell.number}/{total}{took}] {shown_source(cell)}")

    def end(self) -> None:
        if self._display is not None:
            self._display.end()


def shown_source(cell: RecordedCell) -> str:
    """The line that tells best which cell it is."""
    if cell.role == "restart":
        return "(restart)"
    lines = [line.strip() for line in cell.source.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("import ", "from ", "#", "%%"))]
    return escape_name((telling or lines or ["(empty)"])[0][:_SOURCE])


def run_to_the_end(work: Coroutine[Any, Any, T], ending: str) -> T | None:
    """Run it; None after Ctrl-C, once it has cleared up. However often it comes while it does so, that is not broken off."""
    return asyncio.run(_cancellable(work, ending))


async def _cancellable(work: Coroutine[Any, Any, T], ending: str) -> T | None:
    import signal

    task, asked, loop = asyncio.ensure_future(work), list[bool](), asyncio.get_running_loop()

    def on_signal() -> None:
        say(f"\nInterrupted. {ending}" if not asked else "One moment.")
        if not asked:
            task.cancel()
        asked.append(True)

    loop.add_signal_handler(signal.SIGINT, on_signal)
    try:
        return await task
    except asyncio.CancelledError:
        if asked:
            return None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGINT)


@asynccontextmanager
async def interrupting(progress: Progress, interrupt: Any) -> AsyncGenerator[None]:
    """Ctrl-C interrupts the cell that runs; the next one ends the command."""
    import signal

    loop, task, asked = asyncio.get_running_loop(), asyncio.current_task(), list[asyncio.Future[Any]]()

    def on_signal() -> None:
        if asked or progress.running is None:
            assert task is not None
            task.cancel()
            return
        say("\nInterrupting. Once more to leave.")
        asked.append(asyncio.ensure_future(interrupt(progress.running)))

    loop.add_signal_handler(signal.SIGINT, on_signal)
    try:
        yield
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        await asyncio.gather(*asked, return_exceptions=True)


def names_of(texts: Sequence[str], limit: int = 20) -> str:
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return ", ".join(escape_name(t) for t in texts[:limit]) + more
