"""Hosts that a person named: their names, and what is allowed there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard

from ..errors import BadRequest

Mode = Literal["gateway", "tunnel"]
MODES: tuple[Mode, Mode] = ("gateway", "tunnel")
MEANINGS: Mapping[str, str] = {
    "gateway": "plain HTTP from the sandbox, TLS from here; methods and paths are filtered, keys are added here",
    "tunnel": "any bytes to this name; what is in them cannot be seen, so data can leave by it",
}
READING = ("GET", "HEAD")
EVERY = "*"
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_METHOD = re.compile(r"[A-Z]{1,20}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE = re.compile(r"[\x20-\x7e]{1,8192}")
_KEYS = frozenset({"mode", "methods", "paths", "headers"})
_ACCEPTS = (
    "It takes mode (gateway or tunnel) and, for a gateway, methods, paths (a last * stands for any rest) and headers."
)


@dataclass(frozen=True)
class HostRule:
    """``gateway``: plain HTTP up to us, TLS from here on; ``methods`` and ``paths`` hold, ``headers`` are added here and are secret.

    ``tunnel``: any bytes to this name, port 443 or 80; nothing else can be seen or added.
    """

    host: str
    mode: Mode
    methods: Sequence[str] = READING
    paths: Sequence[str] = ("/*",)
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def to_json(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "mode": self.mode,
            "methods": list(self.methods),
            "paths": list(self.paths),
            "headers": dict(self.headers),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> HostRule:
        return cls(**values)

    def described(self) -> str:
        """For people: never a secret, only its name."""
        if self.mode == "tunnel":
            return f"{self.host} (tunnel)"
        methods = "any method" if EVERY in self.methods else ", ".join(self.methods)
        paths = "" if tuple(self.paths) == ("/*",) else f" below {', '.join(self.paths)}"
        secrets = f", adds {', '.join(self.headers)}" if self.headers else ""
        return f"{self.host} (gateway: {methods}{paths}{secrets})"


def is_host_name(name: str) -> bool:
    """Whether it is a DNS name in the one form that we compare: lower case, no dot at the end, no form of an IP address."""
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return False
    return not _NUMBER.fullmatch(labels[-1]) and labels[-1] != "localhost"


def host_name(text: str) -> str:
    """What a person typed as the name that is compared: IDNA, lower case. Raises BadRequest."""
    try:
        name = text.strip().encode("idna").decode().lower() if not text.isascii() else text.strip().lower()
    except UnicodeError:
        name = ""
    if not is_host_name(name):
        raise BadRequest(
            f"{text!r} is no name of a host.", "Give its name alone, such as api.example.com: no address, port or path."
        )
    return name


def checked_hosts(table: Any, where: str) -> dict[str, HostRule]:
    """``[egress.hosts]`` of the settings. Raises BadRequest that names ``where`` and the key."""
    if not isinstance(table, dict):
        raise BadRequest(f"{where}: egress.hosts is no table.", _ACCEPTS)
    rules: dict[str, HostRule] = {}
    for name, values in table.items():
        rule = _checked_host(host_name(str(name)), values, f"{where}: egress.hosts.{name}")
        rules[rule.host] = rule
    return rules


def _checked_host(host: str, values: Any, where: str) -> HostRule:
    if not isinstance(values, dict) or not values.keys() <= _KEYS or values.get("mode") not in MODES:
        raise BadRequest(f"{where} is not accepted.", _ACCEPTS)
    mode: Mode = values["mode"]
    if mode == "tunnel" and len(values) > 1:
        raise BadRequest(
            f"{where}: a tunnel shows neither methods nor paths, and nothing can be added.", 'Use mode = "gateway".'
        )
    methods, paths, headers = values.get("methods", [*READING]), values.get("paths", ["/*"]), values.get("headers", {})
    if not _is_texts(methods) or not all(m == EVERY or _METHOD.fullmatch(m) for m in methods):
        raise BadRequest(f"{where}: methods = {methods!r} is not accepted.", 'Such as ["GET", "POST"], or ["*"].')
    if not _is_texts(paths) or not all(_is_path(p) for p in paths):
        raise BadRequest(f"{where}: paths is not accepted.", 'Such as ["/v1/models", "/v1/files/*"].')
    if not _is_headers(headers):
        raise BadRequest(f"{where}: headers is not accepted.", "Names and values of plain characters.")
    return HostRule(host, mode, tuple(methods), tuple(paths), headers)


def _is_texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value)


def _is_path(path: str) -> bool:
    return path.startswith("/") and "*" not in path[:-1] and path.isascii() and path.isprintable()


def _is_headers(value: Any) -> TypeGuard[dict[str, str]]:
    return isinstance(value, dict) and all(
        isinstance(v, str) and _HEADER.fullmatch(str(k)) and _VALUE.fullmatch(v) for k, v in value.items()
    )
