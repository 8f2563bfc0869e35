from __future__ import annotations

import contextlib
import itertools
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.egress.hello import HelloGuard, Refused


def hello(name: str | None, **options: object) -> bytes:
    """What a real client sends first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    for key, value in options.items():
        setattr(context, key, value)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


HELLO = hello("files.example.com")


def with_extension(data: bytes, kind: int, body: bytes) -> bytes:
    """One more extension at the end of a hello that is one record."""
    extra = kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body
    message = data[9:]
    place = 2 + 32
    for size in (1, 2, 1):
        place += size + int.from_bytes(message[place : place + size], "big")
    length = int.from_bytes(message[place : place + 2], "big") + len(extra)
    message = message[:place] + length.to_bytes(2, "big") + message[place + 2 :] + extra
    handshake = b"\1" + len(message).to_bytes(3, "big") + message
    return data[:3] + len(handshake).to_bytes(2, "big") + handshake


def test_a_hello_that_names_the_host_passes_unchanged() -> None:
    assert HelloGuard("files.example.com").feed(HELLO) == HELLO


@given(st.lists(st.integers(0, len(HELLO)), max_size=5))
def test_it_may_come_in_pieces(cuts: list[int]) -> None:
    guard, places = HelloGuard("files.example.com"), [0, *sorted(cuts), len(HELLO)]
    assert b"".join(guard.feed(HELLO[a:b]) for a, b in itertools.pairwise(places)) == HELLO


def test_not_a_byte_passes_before_it_is_whole() -> None:
    assert HelloGuard("files.example.com").feed(HELLO[:-1]) == b""


def test_it_may_come_in_several_records() -> None:
    body = HELLO[5:]
    records = b"".join(HELLO[:3] + len(part).to_bytes(2, "big") + part for part in (body[:3], body[3:80], body[80:]))
    assert HelloGuard("files.example.com").feed(records) == records


@pytest.mark.parametrize(
    "data",
    [hello("other.example.com"), hello(None), HELLO.replace(b"files.", b"FILES.")],
    ids=["other", "none", "capitals"],
)
def test_another_name_or_none_is_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        HelloGuard("files.example.com").feed(data)


@pytest.mark.parametrize("kind", [0xFE0D, 0xFFCE])
def test_a_hidden_name_is_refused(kind: int) -> None:
    with pytest.raises(Refused, match="ECH"):
        HelloGuard("files.example.com").feed(with_extension(HELLO, kind, b"\0" * 8))


def test_a_second_name_is_refused() -> None:
    name = b"other.example.com"
    entry = b"\0" + len(name).to_bytes(2, "big") + name
    with pytest.raises(Refused):
        HelloGuard("files.example.com").feed(with_extension(HELLO, 0, len(entry).to_bytes(2, "big") + entry))


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", b"\x15\3\3\0\2\1\0", b"\x16\3\3\0\1\2"])
def test_what_is_no_tls_is_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        HelloGuard("files.example.com").feed(data)


@given(st.binary(max_size=300), st.integers(0, len(HELLO)))
def test_no_damage_is_more_than_a_refusal(noise: bytes, place: int) -> None:
    with contextlib.suppress(Refused):
        HelloGuard("files.example.com").feed(HELLO[:place] + noise + HELLO[place:])


CHANGE_CIPHER = b"\x14\3\3\0\1\1"


@pytest.mark.parametrize("between", [b"", CHANGE_CIPHER])
def test_a_second_hello_must_name_the_host_too(between: bytes) -> None:
    guard = HelloGuard("files.example.com")
    guard.feed(HELLO)
    assert guard.feed(between + HELLO) == between + HELLO
    guard = HelloGuard("files.example.com")
    guard.feed(HELLO)
    with pytest.raises(Refused):
        guard.feed(between + hello("other.example.com"))


def test_what_follows_is_passed_on_as_it_is() -> None:
    guard = HelloGuard("files.example.com")
    record = b"\x17\3\3\0\x20" + b"x" * 32
    assert guard.feed(HELLO + CHANGE_CIPHER + record) == HELLO + CHANGE_CIPHER + record
    assert guard.is_done and guard.feed(b"anything") == b"anything"
