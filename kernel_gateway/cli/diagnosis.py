"""What ``doctor`` looks at beyond the sandbox itself."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from ..agent.keys import found_keys
from ..config import Settings, load_settings
from ..egress.upstreams import pip_upstreams
from ..errors import GatewayError, NotFound
from ..image.store import ImageStore
from ..sandbox.doctor import Finding, probe
from ..sandbox.engines import probe_containers
from ..sizes import shown_size
from ..terminal import clean_text
from . import survival
from .say import has_colour, say_data

LOW_SPACE = 6 * 1024**3


def diagnose() -> list[Finding]:
    """Everything that decides whether sessions work here. Settings that cannot be read are a finding too."""
    findings = [_python(), *probe()]
    try:
        settings = load_settings()
    except GatewayError as error:
        return [*findings, Finding("settings", False, error.message, error.next_step)]
    checks: tuple[Callable[[Settings], Finding], ...] = (_config_file, _data, _space, _image, _network, _key)
    containers = probe_containers(settings["engine"])
    return [
        *findings,
        *containers,
        *(check(settings) for check in checks),
        *survival.findings(survival.look(settings.data)),
    ]


def print_findings(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        say_data([asdict(finding) for finding in findings])
        return
    for finding in findings:
        print(f"{_mark(finding.ok)} {finding.name:<16} {clean_text(finding.detail, colour=False)}")
        for line in finding.next_step.splitlines():
            print(f"  {'':<16} {clean_text(line, colour=False)}")


def _mark(ok: bool | None) -> str:
    mark, colour = {True: ("+", 32), False: ("x", 31), None: ("-", 33)}[ok]
    return f"\x1b[{colour}m{mark}\x1b[0m" if has_colour(sys.stdout) else mark


def _python() -> Finding:
    return Finding("python", True, f"{platform.python_version()} ({sys.executable})")


def _config_file(settings: Settings) -> Finding:
    if not settings.file.exists():
        return Finding("settings", None, f"{settings.file} does not exist: defaults hold.")
    if settings.file.stat().st_mode & 0o077:
        return Finding("settings", None, f"{settings.file} can be read by others.", f"chmod 600 {settings.file}")
    return Finding("settings", True, str(settings.file))


def _data(settings: Settings) -> Finding:
    existing = next(p for p in (settings.data, *settings.data.parents) if p.exists())
    if os.access(existing, os.W_OK | os.X_OK):
        return Finding("data", True, f"{settings.data} can be written.")
    return Finding(
        "data", False, f"{settings.data} cannot be written.", "Set CELL_GATEWAY_DATA to a folder of your own."
    )


def _space(settings: Settings) -> Finding:
    existing = next(p for p in (settings.data, *settings.data.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < LOW_SPACE:
        return Finding("disk", None, f"{shown_size(free)} free: less than one session may take.", "Free some space.")
    return Finding("disk", True, f"{shown_size(free)} free")


def _image(settings: Settings) -> Finding:
    name = settings["image"]
    try:
        image = ImageStore(settings.images).find(name)
    except NotFound:
        built = "It is built at first use, which takes some minutes" if name == "default" else "It is not there"
        return Finding("image", None, f"{name}: {built}.", f"Build it now: cell-gateway image build {name}")
    except GatewayError as error:
        return Finding("image", False, error.message, error.next_step)
    return Finding(
        "image", True, f"{name}: Python {image.python_version}, node {image.node_version}, {image.digest[:12]}"
    )


def _network(settings: Settings) -> Finding:
    """What new sessions may reach, and where packages come from. Credentials are no part of it."""
    mode = settings["limits.egress"]
    if mode == "none":
        return Finding("network", True, "none: new sessions reach nothing.")
    indexes = [upstream.url for upstream in pip_upstreams(os.environ, _image_root(settings))]
    hosts = [rule.described() for rule in settings.egress_hosts.values()] if mode in ("list", "ask") else []
    others = {"ask": "; for others a person is asked", "list": "; nothing else"}.get(mode, "; no other host")
    reached = "".join(f", {host}" for host in hosts)
    detail = f"{mode}: packages by pip from {', '.join(indexes) or 'nowhere'}, by npm as npm says{reached}{others}."
    return Finding(
        "network", bool(indexes) or None, detail, "" if indexes else "pip names no index: see pip config list"
    )


def _image_root(settings: Settings) -> Path:
    try:
        return ImageStore(settings.images).find(settings["image"]).root
    except GatewayError:
        return settings.images


def _key(settings: Settings) -> Finding:
    if found := found_keys():
        return Finding("model", True, f"{settings['model']}, by {' and '.join(found)}")
    return Finding("model", None, "No key: ask and chat need one; run and demo do not.", "export ANTHROPIC_API_KEY=…")
