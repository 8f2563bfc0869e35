"""The supervisor's side: the proxy is started, watched, cut and audited. The proxy is the real one, with our server as its outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from kernel_gateway.egress.audit import append, read
from kernel_gateway.egress.state import EgressState
from kernel_gateway.errors import BadRequest
from kernel_gateway.image.store import Image
from kernel_gateway.journal import Journal
from kernel_gateway.session.folder import SessionFolder
from kernel_gateway.session.policy import Policy
from kernel_gateway.supervisor.egress import Egress
from tests.conftest import alive
from tests.egress.conftest import Outside

# The real program; only where names lead is ours.
PROXY = """
import asyncio, os, socket, sys
from kernel_gateway.egress.outward import Dialer
from kernel_gateway.egress.proxy import Proxy

ports = {443: int(sys.argv[1]), 80: int(sys.argv[2])}

async def resolve(host, port):
    return ["8.8.4.4"]

async def connect(address, port):
    return await asyncio.open_connection("127.0.0.1", ports[port])

async def main():
    listening, control = (socket.socket(fileno=int(sys.argv[i])) for i in (4, 6))
    for sock in (listening, control):
        sock.setblocking(False)
    proxy = Proxy(control, os.environ, Dialer({}, resolve=resolve, connect=connect))
    await proxy.serve(listening)

asyncio.run(main())
"""


@dataclass
class Place:
    folder: SessionFolder
    values: dict[str, Any]
    image: Image


@dataclass
class Live:
    """An `Egress` with its session; ``get`` is a request as the relay carries it."""

    egress: Egress
    folder: SessionFolder
    values: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def proxy(self) -> int:
        child = self.egress._child  # pyright: ignore[reportPrivateUsage]
        assert child is not None
        return child.pid

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.egress.folder / "socket")

    async def get(self, url: str = "http://api.example.com/") -> bytes:
        host = url.split("/")[2]
        reader, writer = await self.open()
        writer.write(f"GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        try:
            return await asyncio.wait_for(reader.read(), 30)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    @property
    def audit(self) -> list[dict[str, Any]]:
        return list(read(self.folder.internals / "audit.jsonl"))


@pytest_asyncio.fixture
async def live(tmp_path: Path, outside: Outside, image: Image) -> AsyncIterator[Live]:
    folder = SessionFolder(tmp_path / "sessions" / "amber-wren")
    values = {"session": folder.id, "policy": Policy(egress="ask", ask_timeout=60).to_json(), "uid": None}
    folder.create(values)
    runtime = tmp_path / "r"
    runtime.mkdir()
    ports = [str(outside._ports[port]) for port in (443, 80)]  # pyright: ignore[reportPrivateUsage]
    journal = Journal(folder.journal)
    egress = Egress(Place(folder, values, image), journal, runtime, [sys.executable, "-c", PROXY, *ports])
    egress.listen()
    yield Live(egress, folder, values)
    await egress.stop()
    journal.close()


async def test_nothing_runs_until_the_first_connection_and_nothing_is_left_after_the_stop(live: Live) -> None:
    with pytest.raises(AssertionError):
        _ = live.proxy
    live.egress.allow("api.example.com", "gateway", [], "ada")
    assert (await live.get()).endswith(b"hello")
    pid = live.proxy
    await live.egress.stop()
    assert not alive(pid) and not live.egress.folder.exists()


async def test_a_proxy_that_was_killed_is_replaced_by_the_next_request(live: Live) -> None:
    live.egress.allow("api.example.com", "gateway", [], "ada")
    await live.get()
    first = live.proxy
    os.kill(first, signal.SIGKILL)
    answer = b""
    while not answer.endswith(b"hello"):
        answer = await live.get()
    assert live.proxy != first


async def test_the_proxys_environment_holds_nothing_of_ours(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-51c2")
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:canary-51c2@index.example.com/simple")
    await live.get()
    environment = Path(f"/proc/{live.proxy}/environ").read_bytes()
    assert b"canary" not in environment and b"HOME=" not in environment and b"SSL_CERT_FILE=" in environment


async def test_a_cut_ends_a_download_within_a_second_and_later_requests_are_told(live: Live, outside: Outside) -> None:
    outside.answer, outside.endless = b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n", True
    live.egress.allow("api.example.com", "gateway", [], "ada")
    reader, writer = await live.open()
    writer.write(b"GET http://api.example.com/big HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
    assert await reader.readexactly(100_000)
    began = time.monotonic()
    await live.egress.cut("ada")
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert time.monotonic() - began < 1
    answer = await live.get()
    assert answer.startswith(b"HTTP/1.1 403") and b"cut off" in answer
    lines = live.audit
    assert [line["event"] for line in lines if "event" in line] == ["allow", "cut"]
    (ended,) = [line for line in lines if line.get("verdict") == "cut"]
    assert (ended["host"], ended["path"]) == ("api.example.com", "/big")
    await live.egress.cut("ada", undo=True)
    outside.answer, outside.endless = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", False
    assert (await live.get()).endswith(b"hello")


async def test_a_cut_holds_for_a_supervisor_that_comes_later(live: Live) -> None:
    await live.egress.cut("ada")
    assert EgressState.load(live.folder.internals / "egress.json").is_cut
    with pytest.raises(BadRequest, match="cut off"):
        live.egress.allow("api.example.com", "gateway", [], "ada")


def answering(live: Live, reply: bool | None) -> list[dict[str, Any]]:
    """A front end that gives each question the same answer, or none."""
    seen: list[dict[str, Any]] = []

    def on_event(event: dict[str, Any]) -> None:
        seen.append(event)
        if event["event"] == "question" and reply is not None:
            asyncio.get_running_loop().call_soon(
                lambda: live.egress.answer(event["question"], is_allowed=reply, by="ada")
            )

    live.egress.attend(on_event)
    return seen


async def test_a_yes_holds_for_the_session_and_is_audited_with_who_said_it(live: Live) -> None:
    seen = answering(live, True)
    assert (await live.get()).endswith(b"hello")
    assert (await live.get("http://api.example.com/again")).endswith(b"hello")
    assert [e["event"] for e in seen] == ["question", "settled"]
    assert (seen[0]["host"], seen[0]["as"], seen[0]["method"], seen[0]["seconds"]) == (
        "api.example.com",
        "gateway",
        "GET",
        60,
    )
    assert [(line["event"], line["by"]) for line in live.audit if "event" in line] == [("allowed", "ada")]


async def test_a_no_holds_for_the_session(live: Live) -> None:
    seen = answering(live, False)
    for _ in range(2):
        assert (await live.get()).startswith(b"HTTP/1.1 403")
    assert len([e for e in seen if e["event"] == "question"]) == 1
    assert [(line["event"], line["by"]) for line in live.audit if "event" in line] == [("denied", "ada")]


async def test_no_answer_in_time_is_a_no_that_is_not_asked_again_in_the_same_run(live: Live) -> None:
    live.values["policy"]["ask_timeout"] = 0.2
    seen = answering(live, None)
    for _ in range(2):
        assert (await live.get()).startswith(b"HTTP/1.1 403")
    assert len([e for e in seen if e["event"] == "question"]) == 1
    assert EgressState.load(live.folder.internals / "egress.json").denied == set()


async def test_with_no_front_end_the_answer_is_no_at_once(live: Live) -> None:
    assert (await live.get()).startswith(b"HTTP/1.1 403")


async def test_when_the_last_front_end_goes_waiting_requests_are_denied(live: Live) -> None:
    asked = asyncio.Event()
    leave = live.egress.attend(lambda event: asked.set())
    request = asyncio.create_task(live.get())
    await asked.wait()
    leave()
    assert (await request).startswith(b"HTTP/1.1 403")


async def test_an_audit_that_cannot_be_written_lets_nothing_pass(live: Live) -> None:
    live.egress.allow("api.example.com", "gateway", [], "ada")
    assert (await live.get()).endswith(b"hello")
    path = live.folder.internals / "audit.jsonl"
    path.unlink()
    path.symlink_to("/dev/full")
    await live.get()
    assert (await live.get()).startswith(b"HTTP/1.1 403")
    path.unlink()


async def test_the_journal_gets_the_sums_of_what_passed(live: Live) -> None:
    live.egress.allow("api.example.com", "gateway", [], "ada")
    for _ in range(3):
        await live.get()
    await live.get("http://other.example.com/")
    live.egress.record()
    records = [json.loads(line) for line in live.folder.journal.read_text().splitlines()]
    found = [r for r in records if r["kind"] == "egress"]
    sums = {"host": "api.example.com", "mode": "gateway", "requests": 3, "up": 0, "down": 15}
    assert [h for r in found for h in r["hosts"]] == [sums] and sum(r["denied"] for r in found) == 1


async def test_a_session_without_a_network_allows_nothing(live: Live) -> None:
    live.values["policy"]["egress"] = "none"
    with pytest.raises(BadRequest, match="without any network"):
        live.egress.allow("api.example.com", "gateway", [], "ada")
    assert (await live.get()).startswith(b"HTTP/1.1 403")


def test_an_audit_is_read_as_far_as_its_lines_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    assert list(read(path)) == []
    append(path, {"host": "a"})
    with path.open("a") as file:
        file.write('{"host": "b')
    assert list(read(path)) == [{"host": "a"}]
