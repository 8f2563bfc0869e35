"""What the commands that replay have in common: the notebook that is named, the session it goes into, and what shows meanwhile."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Coroutine, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ..config import Settings
from ..image.progress import Progress as ImageProgress
from ..replay.plan import Plan
from ..replay.replay import Progress
from ..replay.source import RecordedCell
from ..session.folder import SessionFolder, SessionStore
from ..terminal import escape_name
from .display import Display
from .opening import ensured_image
from .options import complete_session
from .say import is_terminal, progress, say

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


def find_source(settings: Settings, source: str) -> Path | SessionFolder:
    """A path when it looks like one, else a session."""
    if source.endswith((".ipynb", ".zip")) or "/" in source or source in (".", ".."):
        return Path(source)
    return SessionStore(settings.data).find(source)


def plan(settings: Settings, source: Path | SessionFolder, image: str | None, *, strict: bool = False) -> Plan:
    """`replay.plan.plan`, with its progress on a terminal."""
    from ..replay import plan as planning

    return planning.plan(
        settings,
        source,
        is_chosen=image is not None,
        strict=strict,
        ensure=ensured_image,
        building=_building,
        say=say,
    )


@contextmanager
def _building() -> Generator[ImageProgress]:
    with progress("Building the recorded environment") as line:
        yield lambda step, fraction: line.update(f"Recorded packages: {step} ({fraction:.0%})")


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
