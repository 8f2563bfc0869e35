"""``lab``: the server with JupyterLab in it, opened at a session."""

from __future__ import annotations

import secrets
import socket
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..config import Settings
from .options import complete_session
from .say import say
from .serve import BaseUrl, BehindProxy, CertFile, Host, KeyFile, LogJson, Port, Token


def lab(
    session: Annotated[
        str | None,
        typer.Argument(
            metavar="[SESSION]",
            help="Open this session's notebook, and its chat beside it: an id, a unique prefix of it, or: last.",
            autocompletion=complete_session,
            show_default=False,
        ),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    host: Host = "127.0.0.1",
    port: Port = 8888,
    token: Token = None,
    certfile: CertFile = None,
    keyfile: KeyFile = None,
    behind_proxy: BehindProxy = False,
    base_url: BaseUrl = "/",
    log_json: LogJson = False,
) -> None:
    """Open sessions in JupyterLab: their notebooks live, your cells beside the model's, a chat. Serves all that serve does.

    Where such a server runs on the same data folder already, that one is opened.
    """
    from ..server.handover import hand_over

    token = hand_over(token)
    # After that, since these take long to import.
    from ..server.context import Context
    from ..server.lab.options import check_installed, lab_folder
    from ..session.folder import SessionStore
    from .serve import checked_options

    check_installed()
    options = checked_options(host, port, token, certfile, keyfile, base_url, behind_proxy=behind_proxy, json=log_json)
    context = Context.take()
    path = f"cell-gateway/lab/{SessionStore(context.settings.data).find(session).id}" if session else "lab"
    redirect = None if no_browser else lab_folder(context.settings) / "open.html"
    if (running := _running(context.settings)) is not None:
        say("JupyterLab runs already on this data folder.")
        _open(f"{running['url']}{path}", running["token"], redirect)
        return
    _serve(context, options, path, secrets.token_hex(24) if token is None else token, redirect)


def _serve(context: Any, options: dict[str, dict[str, Any]], path: str, token: str, redirect: Path | None) -> None:
    from ..server.app import new_server
    from ..server.lab.options import LAB_EXTENSIONS, chat_extensions, lab_options

    for name, values in lab_options(context.settings).items():
        options.setdefault(name, {}).update(values)
    options["IdentityProvider"] = {"token": token}
    if "logging_config" not in options["ServerApp"]:
        # For a person: what is wrong, and what we say.
        options["Application"] = {"log_level": "WARN"}
    server = new_server(context, options, extensions=LAB_EXTENSIONS | chat_extensions())
    _open(f"{server.connection_url}{path}", token, redirect)
    say("Ctrl-C ends this server; sessions and their running cells go on.")
    server.start()


def _running(settings: Settings) -> Mapping[str, Any] | None:
    """A server of this person's that shows these sessions in JupyterLab."""
    from jupyter_server.serverapp import list_running_servers

    root = str(settings.data.absolute() / "sessions")
    for server in list_running_servers():
        if server.get("root_dir") == root and server.get("jupyterlab") and _answers(server["hostname"], server["port"]):
            return server
    return None


def _answers(host: str, port: int) -> bool:
    """One that was killed leaves its description, and its process id may be another's by now."""
    try:
        socket.create_connection((host, port), 3).close()
    except OSError:
        return False
    return True


def _open(url: str, token: str, redirect: Path | None) -> None:
    """Say where it is, and show it in a browser by a page on disk: a command line, with the token in it, everybody could read."""
    address = f"{url}?token={token}" if token else url
    say(f"JupyterLab: {address}")
    if redirect is not None:
        redirect.touch(0o600)
        redirect.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={address}">\n')
        webbrowser.open(redirect.as_uri())
