"""The proxy as a client meets it: one request at a time, whatever the client is."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from pathlib import Path

import pytest

from kernel_gateway.egress.exchange import HEAD_LIMIT
from kernel_gateway.egress.hosts import HostRule
from kernel_gateway.egress.outward import Streams
from kernel_gateway.egress.proxy import MOST_CONNECTIONS
from tests.egress.conftest import CERTIFICATES, PUBLIC, Outside, Way

API = b"http://api.example.com"


def get(url: bytes, *headers: bytes, method: bytes = b"GET", body: bytes = b"", host: bytes | None = None) -> bytes:
    name = host or (url.removeprefix(b"http://").partition(b"/")[0] if url.startswith(b"http") else b"127.0.0.1:3128")
    lines = [method + b" " + url + b" HTTP/1.1", b"Host: " + name, *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


LAST = b"Connection: close"


async def test_a_gateway_is_spoken_to_in_plain_http_and_reached_by_tls(way: Way, outside: Outside) -> None:
    answer = await way.talk(get(API + b"/v1?a=b", b"X-Mine: 1", LAST))
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"hello")
    assert outside.connected == [(PUBLIC, 443)]
    assert outside.seen[0].startswith(b"GET /v1?a=b HTTP/1.1\r\n") and b"x-mine: 1" in outside.seen[0].lower()
    (line,) = await way.audited()
    assert (line["host"], line["path"], line["query_bytes"], line["down"]) == ("api.example.com", "/v1", 3, 5)
    assert (line["verdict"], line["mode"], line["status"]) == ("allow", "gateway", 200)


async def test_keys_of_the_sandbox_are_stripped_and_ours_are_added(way: Way, outside: Outside) -> None:
    way.rules("list", HostRule("api.example.com", "gateway", headers={"Authorization": "Bearer ours"}))
    sent = (b"Authorization: Bearer theirs", b"Cookie: a=theirs", b"X-Api-Key: theirs", b"Proxy-Authorization: theirs")
    answer = await way.talk(get(API + b"/", *sent, b"Connection: close, x-secret", b"X-Secret: theirs"))
    assert b"Bearer ours" in outside.seen[0] and b"theirs" not in outside.seen[0]
    assert b"ours" not in answer


async def test_a_body_goes_up_and_is_counted(way: Way, outside: Outside) -> None:
    way.rules("list", HostRule("api.example.com", "gateway", ("POST",)))
    await way.talk(get(API + b"/", b"Content-Length: 9", LAST, method=b"POST", body=b"some data"))
    chunked = get(API + b"/", b"Transfer-Encoding: chunked", LAST, method=b"POST", body=b"4\r\ndata\r\n0\r\n\r\n")
    await way.talk(chunked)
    assert outside.seen[0].endswith(b"some data") and b"data" in outside.seen[1]
    assert [line["up"] for line in await way.audited(2)] == [9, 4]


async def test_a_redirect_to_the_same_host_stays_on_the_way(way: Way, outside: Outside) -> None:
    outside.answer = b"HTTP/1.1 302 Found\r\nLocation: https://api.example.com/there\r\nContent-Length: 0\r\n\r\n"
    assert b"location: http://api.example.com/there" in (await way.talk(get(API + b"/", LAST))).lower()


async def test_a_refusal_names_request_rule_and_what_to_do(way: Way, outside: Outside) -> None:
    answer = await way.talk(get(b"http://other.example.com/x"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403") and b"x-cell-gateway-denied: list: only" in head.lower()
    assert b"GET other.example.com/x" in body and b"sessions allow SESSION other.example.com --as gateway" in body
    assert outside.connected == []
    (line,) = await way.audited()
    assert (line["verdict"], line["host"], line["status"]) == ("deny", "other.example.com", 403)


async def test_each_request_of_a_connection_is_judged_anew(way: Way, outside: Outside) -> None:
    answer = await way.talk(get(API + b"/one") + get(b"http://other.example.com/two") + get(API + b"/three"))
    assert answer.count(b"HTTP/1.1 ") == 2 and b"HTTP/1.1 403" in answer
    assert len(outside.seen) == 1
    assert [line["verdict"] for line in await way.audited(2)] == ["allow", "deny"]


async def test_rules_that_change_hold_for_the_next_request_of_an_open_connection(way: Way) -> None:
    reader, writer = await way.open()
    writer.write(get(API + b"/"))
    assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
    way.rules("list", is_cut=True)
    writer.write(get(API + b"/"))
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 403") and b"cut off" in answer


SMUGGLED: list[bytes] = [
    get(API + b"/", b"Content-Length: 4", b"Transfer-Encoding: chunked", method=b"POST", body=b"0\r\n\r\nGET /"),
    get(API + b"/", b"Content-Length: 4", b"Content-Length: 5", method=b"POST", body=b"abcde"),
    get(API + b"/", b"Transfer-Encoding: chunked, identity", method=b"POST", body=b"0\r\n\r\n"),
    get(API + b"/", b"Transfer-Encoding : chunked", method=b"POST", body=b"0\r\n\r\n"),
    get(API + b"/", b"Content-Length: +4", method=b"POST", body=b"abcd"),
    get(API + b"/", b"Host: other.example.com"),
    get(API + b"/", host=b"other.example.com"),
    b"GET http://api.example.com/ HTTP/1.1\r\n\r\n",
    b"GET http://api.example.com/ HTTP/1.0\r\nHost: api.example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET http://api.example.com/\r\nHost: other.example.com\r\n\r\n",
    b"GET http://api.example.com/ x HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    b"nonsense\r\n\r\n",
]


@pytest.mark.parametrize("sent", SMUGGLED)
async def test_what_can_be_read_in_two_ways_reaches_nobody_and_is_audited(
    way: Way, outside: Outside, sent: bytes
) -> None:
    way.rules("list", HostRule("api.example.com", "gateway", ("*",)))
    answer = await way.talk(sent + get(b"http://other.example.com/smuggled"))
    assert answer.startswith((b"HTTP/1.1 40", b"HTTP/1.1 50")) and len(re.findall(rb"HTTP/1.1 \d", answer)) == 1
    assert outside.seen == []
    (line,) = await way.audited()
    assert line["verdict"] == "deny"


async def test_a_header_of_a_megabyte_is_refused_before_it_is_read(way: Way, outside: Outside) -> None:
    reader, writer = await way.open()
    with contextlib.suppress(ConnectionError):
        writer.write(b"GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\nX: " + b"a" * 1_000_000)
        await writer.drain()
    assert (await reader.read()).startswith(b"HTTP/1.1 431")
    writer.close()
    assert HEAD_LIMIT < 1_000_000
    assert (await way.audited())[0]["verdict"] == "deny"


async def test_half_open_connections_are_capped_and_do_no_lasting_harm(way: Way) -> None:
    streams: list[Streams] = []
    for _ in range(1000 // 4):
        stream = await way.open()
        stream[1].write(b"GET http://api.example.com/ HT")
        streams.append(stream)
    refused = sum([await _is_refused(reader) for reader, _ in streams])
    assert refused >= len(streams) - MOST_CONNECTIONS
    for _, writer in streams:
        writer.close()
    answer = b""
    while not answer.startswith(b"HTTP/1.1 200"):
        with contextlib.suppress(ConnectionError):
            answer = await way.talk(get(API + b"/", LAST))


async def _is_refused(reader: asyncio.StreamReader) -> bool:
    try:
        return (await asyncio.wait_for(reader.read(), 0.02)).startswith(b"HTTP/1.1 503")
    except asyncio.TimeoutError:
        return False
    except ConnectionError:
        # Closed with our half request unread.
        return True


# Tunnels


async def tunnel(way: Way, name: str = "files.example.com", sni: str | None = None) -> tuple[Streams, bytes]:
    """CONNECT and TLS as a real client does it; the streams inside, and what CONNECT was answered."""
    reader, writer = await way.open()
    writer.write(f"CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        rest = await reader.read()
        writer.close()
        return (reader, writer), head + rest
    context = ssl.create_default_context(cafile=str(CERTIFICATES / "authority.pem"))
    loop = asyncio.get_running_loop()
    inner = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(inner)
    try:
        transport = await loop.start_tls(writer.transport, protocol, context, server_hostname=sni or name)
    except (ConnectionError, ssl.SSLError):
        writer.close()
        raise
    assert transport is not None
    protocol.connection_made(transport)
    found = asyncio.StreamWriter(transport, protocol, inner, loop)
    found.below = writer  # pyright: ignore[reportAttributeAccessIssue]
    return (inner, found), head


async def test_a_tunnel_carries_tls_to_the_host_and_is_counted(way: Way, outside: Outside) -> None:
    (reader, writer), _ = await tunnel(way)
    writer.write(b"GET /secret HTTP/1.1\r\nHost: files.example.com\r\n\r\n")
    assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
    writer.close()
    (line,) = await way.audited()
    assert (line["host"], line["mode"], line["verdict"], line["path"]) == ("files.example.com", "tunnel", "allow", "")
    assert line["up"] > 300 and line["down"] > 300
    assert outside.connected == [(PUBLIC, 443)]


async def test_a_tunnel_whose_tls_names_another_host_is_closed(way: Way, outside: Outside) -> None:
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await tunnel(way, sni="other.example.com")
    (line,) = await way.audited()
    assert line["verdict"] == "deny" and "other.example.com" in line["rule"] and line["up"] == 0
    assert outside.seen == []


async def test_a_tunnel_that_is_no_tls_is_closed(way: Way, outside: Outside) -> None:
    answer = await way.talk(
        b"CONNECT files.example.com:443 HTTP/1.1\r\nHost: files.example.com:443\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 200") and answer.count(b"HTTP/1.1") == 1
    assert (await way.audited())[0]["verdict"] == "deny" and outside.seen == []


async def test_a_tunnel_to_port_80_of_a_gateway_carries_requests_that_are_judged_as_any_other(
    way: Way, outside: Outside
) -> None:
    connect = b"CONNECT api.example.com:80 HTTP/1.1\r\nHost: api.example.com:80\r\n\r\n"
    answer = await way.talk(connect + get(b"/x", LAST, host=b"api.example.com"))
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"hello") and outside.connected == [(PUBLIC, 443)]
    for sent in (
        get(b"/x", method=b"POST", host=b"api.example.com"),
        get(b"/x", host=b"other.example.com"),
        get(b"http://other.example.com/", host=b"other.example.com"),
        b"CONNECT files.example.com:443 HTTP/1.1\r\nHost: files.example.com:443\r\n\r\n",
        get(b"/pypi/simple/x/"),
    ):
        answer = await way.talk(connect + sent)
        assert answer.partition(b"\r\n\r\n")[2].startswith(b"HTTP/1.1 403"), sent
    assert len(outside.seen) == 1
    assert [line["verdict"] for line in await way.audited(6)] == ["allow"] + ["deny"] * 5


@pytest.mark.parametrize("name", ["other.example.com", "api.example.com", "127.0.0.1", "localhost", "169.254.169.254"])
async def test_a_tunnel_elsewhere_is_answered_403(way: Way, outside: Outside, name: str) -> None:
    _, answer = await tunnel(way, name)
    assert answer.startswith(b"HTTP/1.1 403") and b"x-cell-gateway-denied" in answer.lower()
    assert outside.connected == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:8.8.8.8"])
async def test_an_allowed_name_that_leads_inside_is_refused(way: Way, outside: Outside, address: str) -> None:
    outside.addresses = {name: [PUBLIC, address] for name in outside.addresses}
    _, answer = await tunnel(way)
    assert answer.startswith(b"HTTP/1.1 403") and address.encode() in answer
    assert (await way.talk(get(API + b"/"))).startswith(b"HTTP/1.1 403")
    assert outside.connected == []
    assert [line["verdict"] for line in await way.audited(2)] == ["deny", "deny"]


# Questions


async def test_a_question_waits_for_its_answer_and_a_yes_lets_the_request_pass(way: Way, outside: Outside) -> None:
    way.rules("ask")
    request = asyncio.create_task(way.talk(get(API + b"/x", LAST)))
    question = await way.asked.get()
    assert (question["host"], question["key"], question["method"]) == ("api.example.com", "gateway GET", "GET")
    assert outside.connected == [] and not request.done()
    way.rules("ask", HostRule("api.example.com", "gateway"))
    way.tell({"op": "answer", "host": "api.example.com", "key": "gateway GET", "by": "ada"})
    assert (await request).startswith(b"HTTP/1.1 200")
    assert (await way.audited())[0]["by"] == "ada"


async def test_a_no_or_no_answer_is_a_403(way: Way, outside: Outside) -> None:
    way.rules("ask")
    requests = [asyncio.create_task(way.talk(get(API + b"/x"))) for _ in range(3)]
    question = await way.asked.get()
    way.tell({"op": "answer", "host": question["host"], "key": question["key"], "by": None})
    assert all(answer.startswith(b"HTTP/1.1 403") for answer in await asyncio.gather(*requests))
    assert way.asked.empty(), "requests for one thing share a question"
    assert outside.connected == []


async def test_the_run_is_the_one_that_was_active_when_the_request_came(way: Way) -> None:
    way.tell({"op": "run", "run": "r1", "cell": "c1"})
    await way.talk(get(API + b"/", LAST))
    way.tell({"op": "run", "run": None, "after": "r1", "cell": "c1"})
    await way.talk(get(API + b"/", LAST))
    first, second = await way.audited(2)
    assert (first["run"], first["cell"], "after" in first) == ("r1", "c1", False)
    assert (second["after"], "run" in second) == ("r1", False)


# Registries from folders of this machine, which need no network


@pytest.fixture
def index(tmp_path: Path, way: Way) -> Path:
    root = tmp_path / "index"
    (root / "simple" / "tiny-thing").mkdir(parents=True)
    (root / "files").mkdir()
    (root / "files" / "tiny_thing-1.0-py3-none-any.whl").write_bytes(b"a wheel")
    link = "../../files/tiny_thing-1.0-py3-none-any.whl#sha256=" + "0" * 64
    (root / "simple" / "tiny-thing" / "index.html").write_text(f'<a href="{link}">tiny_thing-1.0-py3-none-any.whl</a>')
    way.tell({"op": "pypi", "upstreams": [{"url": f"file://{root}/simple/"}]})
    return root


async def test_a_page_leads_back_to_us_and_its_file_is_served(way: Way, index: Path) -> None:
    page = await way.talk(get(b"/pypi/simple/Tiny.Thing/", LAST))
    assert page.startswith(b"HTTP/1.1 200")
    url = page.split(b'href="http://127.0.0.1:3128')[1].split(b"#")[0]
    answer = await way.talk(get(url, LAST))
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"a wheel")
    assert str(index).encode() not in page


@pytest.mark.parametrize(
    "change", [lambda u: u[:-5] + b"xxxxx/" + u.rpartition(b"/")[2], lambda u: u.replace(b"/files/", b"/files/0", 1)]
)
async def test_no_address_of_a_file_can_be_made_up(way: Way, index: Path, change: object) -> None:
    page = await way.talk(get(b"/pypi/simple/tiny-thing/", LAST))
    url = page.split(b'href="http://127.0.0.1:3128')[1].split(b"#")[0]
    assert callable(change)
    assert (await way.talk(get(change(url)))).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    "path",
    [b"/pypi/simple/../x/", b"/pypi/simple/%2e%2e/", b"/pypi/simple/a/b", b"/pypi/", b"/npm/..%2f..", b"/pypi/simple/"],
)
async def test_other_addresses_are_not_there(way: Way, index: Path, path: bytes) -> None:
    assert (await way.talk(get(path))).startswith((b"HTTP/1.1 404", b"HTTP/1.1 502"))


@pytest.mark.parametrize(
    "sent",
    [
        get(b"/pypi/simple/tiny-thing/", b"Content-Length: 3", method=b"POST", body=b"abc"),
        get(b"/npm/tiny", b"Content-Length: 3", method=b"PUT", body=b"abc"),
        get(b"/pypi/simple/tiny-thing/?" + b"x" * 100_000),
        get(b"/pypi/simple/tiny-thing/?" + b"x" * 3_000),
        get(b"/pypi/simple/tiny-thing/", b"Content-Length: 3", body=b"abc"),
        get(b"http://127.0.0.1:3128/pypi/legacy/", b"Transfer-Encoding: chunked", method=b"POST", body=b"0\r\n\r\n"),
    ],
)
async def test_nothing_can_be_sent_to_a_registry(way: Way, index: Path, sent: bytes) -> None:
    way.tell({"op": "run", "run": "r1", "cell": "the-cell"})
    assert (await way.talk(sent)).startswith(b"HTTP/1.1 403")
    (line,) = await way.audited()
    assert (line["verdict"], line["cell"]) == ("deny", "the-cell")
