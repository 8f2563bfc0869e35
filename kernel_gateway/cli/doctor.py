"""``doctor``: what works here, what does not, why, and what to do."""

from __future__ import annotations

import typer

from .options import Json


def doctor(as_json: Json = False) -> None:
    """Try what sessions need on this machine and say what works, what not, why, and what to do. Exit code 1 when something is wrong."""
    from .diagnosis import diagnose, print_findings

    findings = diagnose()
    print_findings(findings, as_json=as_json)
    raise typer.Exit(int(any(f.ok is False for f in findings)))
