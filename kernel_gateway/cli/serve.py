"""``serve``: the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import BadRequest


def serve(
    host: Annotated[str, typer.Option("--host", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0 for any free one.", min=0, max=65535)] = 8888,
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="JUPYTER_TOKEN", help="Else one is made and printed.", show_default=False),
    ] = None,
    certfile: Annotated[
        Path | None, typer.Option("--certfile", help="TLS: the certificate.", show_default=False)
    ] = None,
    keyfile: Annotated[Path | None, typer.Option("--keyfile", help="TLS: its key.", show_default=False)] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="Something in front makes the TLS; trust its X-Forwarded headers.")
    ] = False,
    base_url: Annotated[str, typer.Option("--base-url", help="The path under which a proxy serves this.")] = "/",
    log_json: Annotated[bool, typer.Option("--log-json", help="Log one JSON object a line.")] = False,
) -> None:
    """Serve sessions over HTTP: REST, the sessions page, and everything a Jupyter client knows."""
    if (certfile is None) != (keyfile is None):
        raise BadRequest("--certfile and --keyfile come together.")
    from ..server.handover import hand_over

    token = hand_over(token)
    # After that, since these take long to import.
    from ..server.app import check_binding, new_server
    from ..server.context import Context

    check_binding(host, token=token, has_tls=certfile is not None, behind_proxy=behind_proxy)
    options = server_options(host, port, token=token, behind_proxy=behind_proxy, base_url=base_url)
    options["ServerApp"] |= {"certfile": str(certfile or ""), "keyfile": str(keyfile or "")}
    if log_json:
        options["ServerApp"]["logging_config"] = JSON_LOGS
    new_server(Context.take(), options).start()


JSON_LOGS: dict[str, Any] = {"formatters": {"console": {"class": "kernel_gateway.server.logs.JsonFormatter"}}}


def server_options(
    host: str, port: int, *, token: str | None, behind_proxy: bool = False, base_url: str = "/"
) -> dict[str, dict[str, Any]]:
    """Jupyter's options, by class."""
    options: dict[str, dict[str, Any]] = {
        "ServerApp": {
            "ip": host,
            "port": port,
            # The port that was asked for, or an error: the next one may be another person's.
            "port_retries": 0,
            "base_url": base_url,
            "open_browser": False,
            "default_url": "/cell-gateway",
            # Sandboxes give each session an unprivileged user of its own.
            "allow_root": True,
            "allow_remote_access": behind_proxy or host not in ("127.0.0.1", "localhost", "::1"),
            "trust_xheaders": behind_proxy,
            "answer_yes": True,
        }
    }
    if token is not None:
        options["IdentityProvider"] = {"token": token}
    return options
