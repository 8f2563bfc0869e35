"""``sessions audit | allow | cut``: what a session's code did on the network, and what it may."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from .options import Json, SessionArgument

As = Annotated[str, typer.Option("--as", help="gateway: plain HTTP, filtered here; tunnel: any bytes by TLS.")]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", help="A gateway's further method, such as POST. May be repeated.", show_default=False),
]


def audit(
    session: SessionArgument,
    denied: Annotated[bool, typer.Option("--denied", help="Only what was refused.")] = False,
    as_json: Json = False,
) -> None:
    """Show each request that a session's code made to the network, with the cell that made it."""
    from .auditing import print_audit

    print_audit(session, denied=denied, as_json=as_json)


def allow(
    session: SessionArgument,
    host: Annotated[str, typer.Argument(help="The exact name of a host.", show_default=False)],
    mode: As = "gateway",
    method: Methods = None,
) -> None:
    """Allow a session one more host, from now on and for its whole life."""
    from .auditing import allow_host

    asyncio.run(allow_host(session, host, mode, method or []))


def cut(
    session: SessionArgument, undo: Annotated[bool, typer.Option("--undo", help="Open the network again.")] = False
) -> None:
    """End all network traffic of a session at once, and let nothing more pass. The kernel goes on."""
    from .auditing import cut_off

    asyncio.run(cut_off(session, undo=undo))


def register(app: typer.Typer) -> None:
    for command in (audit, allow, cut):
        app.command(command.__name__)(command)
