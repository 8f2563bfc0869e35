"""What of the way out is seen inside a sandbox: the same in each session, whatever its rules are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .relay import PORT

PLACE = "/run/egress"
_PROXY = f"http://127.0.0.1:{PORT}"
_LOOPBACK = "localhost,127.0.0.1,::1"
# The relay's parent ends at once, so that the kernel has no child that it does not know.
_START = f'(/image/python/bin/python3 -I -S {PLACE}/relay.py </dev/null &); exec "$@"'
# Places where a distribution keeps all its certificates in one file; all of them are shown inside.
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_ENVIRONMENT = {
    **{name: _PROXY for lower in ("http_proxy", "https_proxy") for name in (lower, lower.upper())},
    **dict.fromkeys(("no_proxy", "NO_PROXY"), _LOOPBACK),
    "PIP_INDEX_URL": f"{_PROXY}/pypi/simple/",
    # There only while a replayed cell is held to the versions that it installed when it was recorded.
    "PIP_CONFIG_FILE": f"{PLACE}/pip.conf",
    "UV_DEFAULT_INDEX": f"{_PROXY}/pypi/simple/",
    "NPM_CONFIG_REGISTRY": f"{_PROXY}/npm/",
    # A lock file made here must not name this address: it is used elsewhere.
    "NPM_CONFIG_OMIT_LOCKFILE_REGISTRY_RESOLVED": "true",
    "NPM_CONFIG_REPLACE_REGISTRY_HOST": "always",
    # fetch, http and https honour the proxy variables with it.
    "NODE_USE_ENV_PROXY": "1",
}


def environment() -> dict[str, str]:
    """For pip, npm, curl, requests, urllib and Node; certificates of the machine's own for tunnels."""
    bundle = next((path for path in _BUNDLES if os.access(path, os.R_OK)), None)
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
    return {**_ENVIRONMENT, **(dict.fromkeys(names, bundle) if bundle else {})}


def with_relay(command: Sequence[str]) -> list[str]:
    """The command with the relay started beside it; it keeps its process."""
    return ["/bin/sh", "-c", _START, "sh", *command]


def relay_source() -> bytes:
    return (Path(__file__).parent / "relay.py").read_bytes()
