from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.egress.hosts import HostRule, checked_hosts, host_name, is_host_name
from kernel_gateway.egress.rules import Decision, Malformed, Rules, Wanted, decide, parse
from kernel_gateway.errors import BadRequest

API = HostRule("api.example.com", "gateway", ("GET", "POST"), ("/v1/models", "/v1/files/*"))
FILES = HostRule("allowed.host", "tunnel")
RULES = Rules("list", (API, FILES))


def connect(target: str, rules: Rules = RULES) -> str:
    try:
        return decide(rules, parse(b"CONNECT", target.encode(), target, has_body=False)).verdict
    except Malformed:
        return "deny"


def get(url: str, method: str = "GET", rules: Rules = RULES, host: str | None = None) -> Decision:
    name = host or url.removeprefix("http://").partition("/")[0]
    return decide(rules, parse(method.encode(), url.encode(), name, has_body=False))


def test_an_allowed_tunnel_is_allowed() -> None:
    assert connect("allowed.host:443") == connect("allowed.host:80") == "allow"


@pytest.mark.parametrize(
    "target",
    """127.0.0.1:22 127.0.0.1:443 localhost:443 [::1]:443 169.254.169.254:80 0x7f000001:443 2130706433:443 127.1:443
    allowed.host.:443 allowed.host:25 allowed.host:0443x ALLOWED.host:443 allowed.host@evil:443 evil@allowed.host:443
    evil.allowed.host.evil:443 evilallowed.host:443 allowed.host allowed.host:443/x allowed.host:443:443 :443
    api.example.com:443 allowed.host:99999 allowed.host%00:443 xn--llowed-3ta.host:443 allowed。host:443""".split(),
)
def test_a_tunnel_to_anything_else_is_denied(target: str) -> None:
    assert connect(target) == "deny"
    assert (
        connect(target, replace(RULES, mode="ask", denied=frozenset({(target.partition(":")[0], "tunnel")}))) == "deny"
    )


@given(st.text(max_size=40))
def test_no_text_is_a_tunnel_but_the_exact_one(text: str) -> None:
    target = text.encode("utf-8", "replace")
    try:
        verdict = decide(RULES, parse(b"CONNECT", target, text, has_body=False)).verdict
    except Malformed:
        return
    assert verdict == "deny" or text in ("allowed.host:443", "allowed.host:80")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/files/a", "/v1/files/a/b?c=d"])
def test_a_gateway_is_allowed_on_its_paths(path: str) -> None:
    assert get(f"http://api.example.com{path}").verdict == "allow"


@pytest.mark.parametrize(
    "path",
    """/ /v1/modelsx /v1/models/ /v1/files/../admin /v1/files/%2e%2e/admin /v1/files//x /v1/files/a%2fb /v1/files/%252e
    /v1/files/a;b /V1/models /v1/files/./a /v1/files/.. /v1/files/a%5cb /v1/files/%00""".split(),
)
def test_a_path_that_is_not_listed_or_not_plain_is_denied(path: str) -> None:
    assert get(f"http://api.example.com{path}").verdict == "deny"


def test_a_gateway_takes_its_methods_only_and_says_so() -> None:
    found = get("http://api.example.com/v1/models", "DELETE")
    assert found.verdict == "deny" and "GET, POST only" in found.rule and "--method DELETE" in found.next_step


def test_the_way_to_speak_is_told_when_it_is_the_other_one() -> None:
    assert "https://allowed.host" in get("http://allowed.host/").next_step
    found = decide(RULES, parse(b"CONNECT", b"api.example.com:443", "api.example.com:443", has_body=False))
    assert "http://api.example.com" in found.next_step


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"http://api.example.com/v1/models", "other.example.com"),
        (b"http://api.example.com/v1/models", None),
        (b"http://user@api.example.com/", "api.example.com"),
        (b"http://api.example.com\\@evil/", "api.example.com"),
        (b"http://api.example.com/#a", "api.example.com"),
        (b"https://api.example.com/", "api.example.com"),
        (b"//api.example.com/", "api.example.com"),
        (b"/pypi/simple/x/", "api.example.com"),
        (b"*", "api.example.com"),
        (b"ftp://api.example.com/", "api.example.com"),
    ],
)
def test_an_address_that_can_be_read_in_two_ways_is_no_request(target: bytes, host: str | None) -> None:
    with pytest.raises(Malformed):
        parse(b"GET", target, host, has_body=False)


def test_ports_other_than_the_standard_ones_are_denied() -> None:
    assert get("http://api.example.com:8080/v1/models").verdict == "deny"
    assert get("http://api.example.com:80/v1/models").verdict == "allow"


MIRROR = Wanted("registry", "registry", 3128, "GET", "/pypi/simple/six/")


def test_registries_are_read() -> None:
    assert decide(Rules("registries"), MIRROR).verdict == "allow"
    assert decide(Rules("registries"), replace(MIRROR, method="HEAD", path="/npm/x")).verdict == "allow"


@pytest.mark.parametrize(
    "change",
    [{"method": m} for m in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS")]
    + [{"has_body": True}, {"query": "x" * 2049}, {"path": "/"}, {"path": "/other"}],
)
def test_registries_take_nothing_in(change: dict[str, object]) -> None:
    assert decide(Rules("ask"), replace(MIRROR, **change)).verdict == "deny"  # pyright: ignore[reportArgumentType]


def test_without_a_network_and_after_a_cut_nothing_passes() -> None:
    for rules in (Rules("none", (API, FILES)), replace(RULES, is_cut=True)):
        assert decide(rules, MIRROR).verdict == "deny"
        assert connect("allowed.host:443", rules) == "deny"
    assert "cut off" in decide(replace(RULES, is_cut=True), MIRROR).rule


def test_a_host_that_is_not_listed_is_asked_for_only_where_that_was_chosen() -> None:
    assert get("http://new.example.com/").verdict == "deny"
    asking = replace(RULES, mode="ask")
    assert get("http://new.example.com/", rules=asking).verdict == "ask"
    denied = replace(asking, denied=frozenset({("new.example.com", "gateway GET")}))
    assert get("http://new.example.com/", rules=denied).verdict == "deny"
    assert get("http://new.example.com/", "POST", rules=denied).verdict == "ask"


def test_of_several_rules_for_a_host_one_that_allows_is_enough_and_the_settings_come_first() -> None:
    keyed = HostRule("api.example.com", "gateway", ("GET",), headers={"Authorization": "x"})
    more = HostRule("api.example.com", "gateway", ("GET", "POST"))
    rules = Rules("list", (keyed, more))
    assert get("http://api.example.com/", rules=rules).host == keyed
    assert get("http://api.example.com/", "POST", rules=rules).host == more
    assert get("http://api.example.com/", "PUT", rules=Rules("ask", (keyed,))).verdict == "deny"


def test_a_mode_that_is_not_known_is_no_network() -> None:
    assert decide(Rules("everything", (FILES,)), MIRROR).verdict == "deny"
    assert connect("allowed.host:443", Rules("everything", (FILES,))) == "deny"


def test_an_address_is_never_asked_for() -> None:
    assert get("http://127.0.0.1/", rules=Rules("ask")).verdict == "deny"


@pytest.mark.parametrize("name", ["Example.COM", " example.com ", "example.com"])
def test_a_persons_spelling_becomes_the_name_that_is_compared(name: str) -> None:
    assert host_name(name) == "example.com"


def test_a_name_of_other_letters_is_compared_in_its_ascii_form() -> None:
    assert host_name("bücher.example") == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    "name", ["", "127.0.0.1", "example.com.", "https://example.com", "example.com:443", "*.com", "a..b"]
)
def test_what_is_no_name_of_a_host_is_refused(name: str) -> None:
    with pytest.raises(BadRequest):
        host_name(name)


@given(st.ip_addresses().map(str))
def test_no_address_is_a_name(address: str) -> None:
    assert not is_host_name(address)


def test_hosts_of_the_settings_are_read_and_described_without_their_secrets() -> None:
    table = {"api.example.com": {"mode": "gateway", "methods": ["GET"], "headers": {"Authorization": "Bearer s3cret"}}}
    rule = checked_hosts(table, "config.toml")["api.example.com"]
    assert rule.headers == {"Authorization": "Bearer s3cret"}
    assert "s3cret" not in rule.described() and "Authorization" in rule.described()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"mode": "open"},
        {"mode": "tunnel", "headers": {"A": "b"}},
        {"mode": "gateway", "methods": ["get"]},
        {"mode": "gateway", "paths": ["v1"]},
        {"mode": "gateway", "paths": ["/a*b"]},
        {"mode": "gateway", "headers": {"A": "b\r\nX: y"}},
        {"mode": "gateway", "extra": 1},
        "gateway",
    ],
)
def test_a_host_that_is_not_described_exactly_is_refused(values: object) -> None:
    with pytest.raises(BadRequest):
        checked_hosts({"api.example.com": values}, "config.toml")
