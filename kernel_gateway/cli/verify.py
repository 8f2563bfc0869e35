"""``cell-gateway verify``: whether a notebook still gives what it gave."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import GatewayError
from .options import EngineName, ImageName, Json
from .replaying import Source, Strict, Timeout

if TYPE_CHECKING:
    from ..replay.verify import Verification


def register(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("verify")(verify)


def verify(
    source: Source,
    twice: Annotated[
        bool, typer.Option("--twice", help="Run it twice: tells what is new in each run from what changed.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the verdict as a page.", show_default=False)
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Run on after a cell that fails now and did not fail.")
    ] = False,
    keep: Annotated[
        str | None, typer.Option("--keep", metavar="NAME", help="Keep the session it ran in.", show_default=False)
    ] = None,
    timeout: Timeout = None,
    image: ImageName = None,
    strict: Strict = False,
    engine: EngineName = None,
    as_json: Json = False,
) -> None:
    """Run a notebook again in a fresh sandbox and compare each cell. Exit code 0: the same; 1: something changed; 2: it cannot run."""
    from ..config import load_settings
    from ..replay.verify import verify as run_verify
    from .asking import INTERRUPTED
    from .cells import parse_timeout
    from .replaying import Shown, find_source, plan, run_to_the_end
    from .say import say

    settings = load_settings({"engine": engine, "image": image})
    seconds = parse_timeout(timeout)
    planned = plan(settings, find_source(settings, source), image, strict=strict)
    work = run_verify(
        planned.recording,
        planned.fresh,
        planned.environment,
        planned.engine,
        twice=twice,
        keep_going=keep_going,
        timeout=seconds,
        keep=keep,
        progress=Shown(quiet=as_json),
    )
    found = run_to_the_end(work, "The sandbox is being removed.")
    if found is None:
        say("Nothing was compared.")
        raise typer.Exit(INTERRUPTED)
    if html is not None:
        _write_page(found, html)
    _print(found, as_json=as_json)
    raise typer.Exit(found.verdict.exit_code)


def _write_page(found: Verification, path: Path) -> None:
    from ..replay.report import page

    image = found.environment.image
    facts = {"verified": f"{datetime.now():%d %B %Y, %H:%M}", "image": f"{image.name} {image.digest[:12]}".strip()}
    if label := found.environment.label:
        facts["environment"] = label
    for number, notice in enumerate(found.notices, 1):
        facts[f"note {number}"] = notice
    try:
        path.write_text(page(found.verdict, found.pairs, found.recording.name, facts), encoding="utf-8")
    except OSError as error:
        raise GatewayError(f"{path} cannot be written: {error.strerror}.", "Choose another place.") from error


def _print(found: Verification, *, as_json: bool) -> None:
    from .replaying import shown_source
    from .say import print_table, say, say_data

    if as_json:
        say_data(found.to_json())
        return
    verdict = found.verdict
    cells = {c.number: c for c in found.recording.runs}
    rows = [(str(n), v.verdict, shown_source(cells[n])) for n, v in zip(verdict.numbers, verdict.cells, strict=True)]
    if rows:
        print_table(("cell", "verdict", "source"), rows)
    for number, cell in zip(verdict.numbers, verdict.cells, strict=True):
        if cell.verdict != "same":
            follows = verdict.follows.get(number)
            _print_line(f"cell {number}: {cell.verdict}: {follows.words() if follows else cell.reason}")
    for step in found.passed:
        _print_line(f"cell {step.cell.number}: not run: {step.passed}")
    if found.unrecorded:
        _print_line(
            f"{found.unrecorded} cells had never run when the notebook was written, or their outputs had been cleared; "
            "only whether they run is judged."
        )
    for notice in [found.environment.label, *found.notices]:
        if notice:
            _print_line(notice if notice.endswith(".") else f"{notice}.")
    _print_line(verdict.headline)
    if found.session:
        say(f"Session: {found.session}")


def _print_line(text: str) -> None:
    from ..terminal import clean_text

    print(clean_text(text, colour=False))
