"""What may pass: plain functions of a request and the session's rules. Nothing here reads, connects or waits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from .hosts import EVERY, READING, HostRule, Mode, is_host_name
from .relay import PORT

Verdict = Literal["allow", "deny", "ask"]
Kind = Literal["registry", "gateway", "tunnel"]

TARGET_LIMIT = 6144
QUERY_LIMIT = 2048
OWN_HOSTS = frozenset({f"127.0.0.1:{PORT}", f"localhost:{PORT}"})
_CONNECT = re.compile(r"([^:/?#@\s]{1,253}):([0-9]{1,5})")
_ABSOLUTE = re.compile(r"http://([^:/?#@\s\\]{1,253})(?::([0-9]{1,5}))?(/[\x21\x22\x24-\x5b\x5d-\x7e]*)?")
_ORIGIN = re.compile(r"/[\x21\x22\x24-\x5b\x5d-\x7e]*")
_METHOD = re.compile(r"[A-Z]{1,20}")


@dataclass(frozen=True)
class Wanted:
    """What a request asks for. ``path`` has no query; a tunnel has neither."""

    kind: Kind
    host: str
    port: int
    method: str
    path: str = ""
    query: str = ""
    has_body: bool = False

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


@dataclass(frozen=True)
class Rules:
    """All that decides. ``hosts`` are the person's, from the settings and for this session."""

    mode: str = "none"
    hosts: Sequence[HostRule] = field(default_factory=tuple)
    # What was answered no, or not answered, in this session.
    denied: frozenset[tuple[str, str]] = frozenset()
    is_cut: bool = False


@dataclass(frozen=True)
class Decision:
    """``rule`` says in a few words which rule decided, ``next_step`` what a person could do about a denial."""

    verdict: Verdict
    rule: str
    next_step: str = ""
    host: HostRule | None = None


class Malformed(Exception):
    """Not a request that can be understood in exactly one way. ``rule`` says why, ``shown`` what was asked for, as far as known."""

    def __init__(self, rule: str, method: str = "", shown: str = "") -> None:
        super().__init__(rule)
        self.rule, self.method, self.shown = rule, method, shown


def parse(
    method: bytes, target: bytes, host_header: str | None, *, has_body: bool, inside: str | None = None
) -> Wanted:
    """A request line and its Host header as what is wanted. ``inside`` is the host of the CONNECT that it came in. Raises Malformed."""
    name = method.decode("ascii", "replace")
    if not _METHOD.fullmatch(name):
        raise Malformed("the method is none that is known")
    if len(target) > TARGET_LIMIT:
        raise Malformed(f"the address is longer than {TARGET_LIMIT:,} characters", name, _shown(target))
    text = target.decode("ascii", "replace")
    if inside is not None:
        return _parse_inside(name, text, host_header, inside, has_body=has_body)
    if name == "CONNECT":
        return _parse_connect(text)
    match = _ABSOLUTE.fullmatch(text)
    if match is None and _ORIGIN.fullmatch(text) is None:
        raise Malformed("the address is none that is served here", name, _shown(target))
    host, port, rest = match.groups() if match else (None, None, text)
    path, _, query = (rest or "/").partition("?")
    if host is None or f"{host}:{port}" in OWN_HOSTS:
        if host_header not in OWN_HOSTS:
            raise Malformed("the Host header names somebody else", name, _shown(target))
        return Wanted("registry", "registry", PORT, name, path, query, has_body)
    if host_header not in (host, f"{host}:{port or 80}"):
        raise Malformed("the Host header and the address differ", name, _shown(target))
    return Wanted("gateway", host, int(port or 80), name, path, query, has_body)


def _parse_inside(name: str, text: str, host_header: str | None, inside: str, *, has_body: bool) -> Wanted:
    if name == "CONNECT" or not _ORIGIN.fullmatch(text) or host_header not in (inside, f"{inside}:80"):
        raise Malformed(f"only requests to {inside} belong here", name, _shown(text.encode("ascii", "replace")))
    path, _, query = text.partition("?")
    return Wanted("gateway", inside, 80, name, path, query, has_body)


def is_plain(rules: Rules, wanted: Wanted) -> bool:
    """Whether a CONNECT is a plain HTTP request in disguise (Node's fetch sends each that way): no tunnel, but requests to judge."""
    if wanted.kind != "tunnel" or wanted.port != 80 or not is_host_name(wanted.host):
        return False
    is_tunnel = any((rule.host, rule.mode) == (wanted.host, "tunnel") for rule in rules.hosts)
    return not (is_tunnel or rules.is_cut or rules.mode not in ("registries", "list", "ask"))


def _parse_connect(text: str) -> Wanted:
    match = _CONNECT.fullmatch(text)
    if match is None:
        raise Malformed("CONNECT takes HOST:PORT", "CONNECT", _shown(text.encode("ascii", "replace")))
    return Wanted("tunnel", match[1], int(match[2]), "CONNECT")


def _shown(target: bytes) -> str:
    return target[:200].decode("ascii", "replace")


def decide(rules: Rules, wanted: Wanted) -> Decision:
    """The session's rules hold for each request anew, also within one connection."""
    if rules.is_cut:
        return Decision("deny", "this session was cut off by a person", "Nothing passes until a person opens it again.")
    if rules.mode not in ("registries", "list", "ask"):
        return Decision("deny", "this session has no network at all", "A person chooses that for a new session.")
    if wanted.kind == "registry":
        return _decide_registry(wanted)
    if not is_host_name(wanted.host):
        return Decision("deny", "only exact names of hosts in lower case, never addresses", "Use the host's name.")
    if wanted.port not in ((443, 80) if wanted.kind == "tunnel" else (80,)):
        return Decision("deny", "only ports 443 and 80", "Use the standard port.")
    mode: Mode = "tunnel" if wanted.kind == "tunnel" else "gateway"
    found = [rule for rule in rules.hosts if (rule.host, rule.mode) == (wanted.host, mode)]
    decisions = [_decide_allowed(rule, wanted) for rule in found] or [_decide_host(rules, wanted, mode)]
    decision = next((d for d in decisions if d.verdict == "allow"), decisions[0])
    # What lies behind a key of the person's is decided in the settings alone.
    if decision.verdict == "allow" or rules.mode != "ask" or any(rule.headers for rule in found):
        return decision
    if (wanted.host, question_key(wanted)) in rules.denied:
        return Decision("deny", f"a person did not allow {wanted.host}", "Do not try again; say what is missing.")
    return Decision("ask", "ask")


def question_key(wanted: Wanted) -> str:
    """A yes or no holds for a host, a way to speak to it and, where one can be seen, a method."""
    if wanted.kind == "tunnel":
        return "tunnel"
    return "gateway GET" if wanted.method in READING else f"gateway {wanted.method}"


def _decide_registry(wanted: Wanted) -> Decision:
    if wanted.method not in READING or wanted.has_body:
        return Decision("deny", "registries are read only: GET and HEAD without a body", "Nothing can be published.")
    if len(wanted.query) > QUERY_LIMIT:
        return Decision("deny", f"a query to a registry has at most {QUERY_LIMIT:,} bytes", "Nothing can be sent here.")
    if not wanted.path.startswith(("/pypi/", "/npm/")):
        return Decision("deny", "only /pypi/ and /npm/ are served here", "pip and npm know the way.")
    return Decision("allow", "registries")


def _decide_host(rules: Rules, wanted: Wanted, mode: Mode) -> Decision:
    """A host that is not allowed in this way; perhaps in the other."""
    if any(rule.host == wanted.host for rule in rules.hosts):
        if mode == "tunnel":
            hint = f"Speak plain HTTP to it, http://{wanted.host}/…: the way out makes the TLS."
            return Decision("deny", f"{wanted.host} is allowed as a gateway, not as a tunnel", hint)
        return Decision("deny", f"{wanted.host} is allowed as a tunnel only", f"Use https://{wanted.host}/…")
    rule = "only the package registries" if rules.mode == "registries" else "only the registries and the hosts listed"
    return Decision("deny", f"{rules.mode}: {rule}", how_to_ask(wanted.host, mode))


def how_to_ask(host: str, mode: Mode) -> str:
    """For the model to hand on: only a person can do it."""
    return f"Tell the person what it is for; they can allow it: cell-gateway sessions allow SESSION {host} --as {mode}"


def _decide_allowed(rule: HostRule, wanted: Wanted) -> Decision:
    if rule.mode == "tunnel":
        return Decision("allow", "tunnel", host=rule)
    if EVERY not in rule.methods and wanted.method not in rule.methods:
        step = f"A person can allow it: cell-gateway sessions allow SESSION {rule.host} --as gateway --method {wanted.method}"
        return Decision("deny", f"{rule.host} takes {', '.join(rule.methods)} only", step)
    if tuple(rule.paths) != ("/*",) and not any(_matches(pattern, wanted.path) for pattern in rule.paths):
        return Decision("deny", f"{rule.host} is allowed below {', '.join(rule.paths)} only", "Use one of these paths.")
    return Decision("allow", "gateway", host=rule)


def _matches(pattern: str, path: str) -> bool:
    """A path that a server could read in two ways (dots, doubled or encoded slashes) matches nothing."""
    decoded = unquote(path)
    segments = decoded.split("/")[1:]
    if re.search(r"%2f|%5c|%25", path, re.IGNORECASE) or "\\" in decoded or ";" in decoded or not decoded.isprintable():
        return False
    if "." in segments or ".." in segments or "" in segments[:-1]:
        return False
    return decoded.startswith(pattern[:-1]) if pattern.endswith("*") else decoded == pattern
