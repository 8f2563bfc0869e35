"""``serve``: the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import BadRequest

Host = Annotated[str, typer.Option("--host", help="The address to listen at.")]
Port = Annotated[int, typer.Option("--port", help="0 for any free one.", min=0, max=65535)]
Token = Annotated[
    str | None,
    typer.Option("--token", envvar="JUPYTER_TOKEN", help="Else one is made and printed.", show_default=False),
]
CertFile = Annotated[Path | None, typer.Option("--certfile", help="TLS: the certificate.", show_default=False)]
KeyFile = Annotated[Path | None, typer.Option("--keyfile", help="TLS: its key.", show_default=False)]
BehindProxy = Annotated[
    bool, typer.Option("--behind-proxy", help="Something in front makes the TLS; trust its X-Forwarded headers.")
]
BaseUrl = Annotated[str, typer.Option("--base-url", help="The path under which a proxy serves this.")]
LogJson = Annotated[bool, typer.Option("--log-json", help="Log one JSON object a line.")]
Options = dict[str, dict[str, Any]]


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8888,
    token: Token = None,
    certfile: CertFile = None,
    keyfile: KeyFile = None,
    behind_proxy: BehindProxy = False,
    base_url: BaseUrl = "/",
    log_json: LogJson = False,
) -> None:
    """Serve sessions over HTTP: REST, the sessions page, and everything a Jupyter client knows."""
    from ..server.handover import hand_over

    token = hand_over(token)
    # After that, since these take long to import.
    from ..server.app import new_server
    from ..server.context import Context

    options = checked_options(host, port, token, certfile, keyfile, base_url, behind_proxy=behind_proxy, json=log_json)
    new_server(Context.take(), options).start()


def checked_options(
    host: str,
    port: int,
    token: str | None,
    certfile: Path | None,
    keyfile: Path | None,
    base_url: str,
    *,
    behind_proxy: bool,
    json: bool,
) -> Options:
    """Jupyter's options, by class. Raises BadRequest for what would let others in."""
    if (certfile is None) != (keyfile is None):
        raise BadRequest("--certfile and --keyfile come together.")
    from ..server.app import check_binding

    check_binding(host, token=token, has_tls=certfile is not None, behind_proxy=behind_proxy)
    options = server_options(host, port, token=token, behind_proxy=behind_proxy, base_url=base_url)
    options["ServerApp"] |= {"certfile": str(certfile or ""), "keyfile": str(keyfile or "")}
    if json:
        options["ServerApp"]["logging_config"] = JSON_LOGS
    return options


JSON_LOGS: dict[str, Any] = {"formatters": {"console": {"class": "kernel_gateway.server.logs.JsonFormatter"}}}


def server_options(
    host: str, port: int, *, token: str | None, behind_proxy: bool = False, base_url: str = "/"
) -> Options:
    """Jupyter's options, by class."""
    options: Options = {
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
