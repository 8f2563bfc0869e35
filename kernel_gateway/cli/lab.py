"""``lab``: the server with JupyterLab in it, opened at a session."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import complete_session
from .serve import BaseUrl, BehindProxy, CertFile, Host, KeyFile, LogJson, Port, Token


def lab(
    session: Annotated[
        str | None,
        typer.Argument(
            metavar="[SESSION]",
            help="Open this session's notebook: an id, a unique prefix of it, or: last.",
            autocompletion=complete_session,
            show_default=False,
        ),
    ] = None,
    host: Host = "127.0.0.1",
    port: Port = 8888,
    token: Token = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    certfile: CertFile = None,
    keyfile: KeyFile = None,
    behind_proxy: BehindProxy = False,
    base_url: BaseUrl = "/",
    log_json: LogJson = False,
) -> None:
    """Open sessions in JupyterLab: their notebooks live, your cells beside the model's. Serves all that `serve` does."""
    from ..server.handover import hand_over

    token = hand_over(token)
    # After that, since these take long to import.
    from ..server.app import new_server
    from ..server.context import Context
    from ..server.lab.options import LAB_EXTENSIONS, chat_extensions, check_installed, lab_options
    from .serve import checked_options

    check_installed()
    options = checked_options(host, port, token, certfile, keyfile, base_url, behind_proxy=behind_proxy, json=log_json)
    context = Context.take()
    for name, values in lab_options(context.settings).items():
        options.setdefault(name, {}).update(values)
    options["ServerApp"]["open_browser"] = not no_browser
    new_server(context, options, extensions=LAB_EXTENSIONS | chat_extensions()).start()
