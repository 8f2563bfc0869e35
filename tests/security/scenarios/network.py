"""The way out. tests/egress has the proxy's own; here is what hostile code sees of it, whatever the session's mode."""

# Cells are one string each.
# ruff: noqa: E501

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

from kernel_gateway.egress.audit import read
from kernel_gateway.supervisor.client import connect
from kernel_gateway.supervisor.egress import MOST_ASKED

from ..arena import Arena, outcome
from .files import cli

__all__ = [
    "machine_loopback",
    "odd_hosts",
    "other_sessions_socket",
    "proxy_refuses",
    "proxy_refuses_own_addresses",
    "proxy_smuggling",
    "questions_flood",
]

# The status of the proxy's answer to raw bytes, or why there is none.
ASK = """
import urllib.parse
def ask(data):
    proxy = urllib.parse.urlsplit(os.environ.get('HTTPS_PROXY') or os.environ.get('https_proxy') or '')
    if not proxy.hostname:
        return 'no proxy'
    try:
        with socket.create_connection((proxy.hostname, proxy.port), 20) as s:
            s.sendall(data)
            s.settimeout(20)
            answer = b''
            while chunk := s.recv(65536):
                answer += chunk
                if len(answer) > 1 << 20 or answer.startswith(b'HTTP/1.1 200 Connection'):
                    break
    except OSError:
        return 'refused'
    heads = re.findall(rb'HTTP/1[.][01] (\\d+)', answer)
    return ' '.join(h.decode() for h in heads) or 'closed'
"""
_DENIED = r"(no proxy|refused|closed|(40[0-9]|41[0-9]|431|50[0-9])( (40[0-9]|41[0-9]|50[0-9]))*)"
TARGETS = (
    "127.0.0.1:22", "127.0.0.1:443", "localhost:443", "[::1]:443", "169.254.169.254:80", "0x7f000001:443", "2130706433:443", "0177.0.0.1:443",
    "10.0.0.1:443", "allowed.example.:443", "allowed.example:25", "allowed.example@evil.example:443", "allowed.example.evil.example:443",
    "[::ffff:127.0.0.1]:443", "0.0.0.0:443", "%31%32%37.0.0.1:443", "\\x00:443", "a" * 5000 + ":443", "ALLOWED.example:443",
)  # fmt: skip
MODES = ("none", "registries")


async def machine_loopback(arena: Arena) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        async with arena.shared() as session:
            code = f"socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5)"
            assert await outcome(session, code) == "ECONNREFUSED"


async def denied(arena: Arena, requests: list[bytes]) -> None:
    import re

    for mode in MODES:
        async with arena.shared(**{"limits.egress": mode}) as session:
            await session.python(ASK)
            for data in requests:
                found = await outcome(session, f"result = ask({data!r})")
                assert re.fullmatch(_DENIED, found), (mode, data[:80], found)


async def proxy_refuses(arena: Arena) -> None:
    await denied(arena, [f"CONNECT {t} HTTP/1.1\r\nHost: {t}\r\n\r\n".encode() for t in TARGETS])


async def proxy_smuggling(arena: Arena) -> None:
    one = b"GET http://denied.example/ HTTP/1.1\r\nHost: denied.example\r\n\r\n"
    two = b"GET http://denied.example/ HTTP/1.1\r\nHost: denied.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    await denied(arena, [
        one + one.replace(b"denied", b"other"),
        two + one,
        b"GET / HTTP/1.1\r\nHost: denied.example\r\nHost: other.example\r\nConnection: close\r\n\r\n",
        b"POST /pypi/simple/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody",
        b"GET http://denied.example/ HTTP/1.1\r\nHost: x\r\nX: " + b"y" * (1 << 20) + b"\r\n\r\n",
        b"GET http://denied.example:99999/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00" + bytes(100) + b"\r\n\r\n",
    ])  # fmt: skip


async def proxy_refuses_own_addresses(arena: Arena) -> None:
    urls = (
        "http://localhost/",
        "http://127.0.0.1:1/",
        "http://[::1]/",
        "http://0/",
        "http://localhost.localdomain/",
        "http://ip6-localhost/",
    )
    await denied(arena, [f"GET {u} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode() for u in urls])


async def other_sessions_socket(arena: Arena) -> None:
    """A session sees its own way out alone: at one place, which it cannot replace."""
    settings = {"limits.egress": "registries"}
    async with arena.shared(**settings) as one, arena.own(**settings) as two:
        for session in (one, two):
            found = await outcome(session, "result = sorted(os.listdir('/run'))")
            assert set(eval(found)) <= {"egress", "kernel"}, found
            for act in (
                "os.unlink(p)",
                "os.rename(p, p + 'x')",
                "os.symlink('/tmp', p + '.new')",
                "open(p + '.x', 'w')",
            ):
                code = f"for p in glob.glob('/run/egress/*'):\n    {act}\nresult = 'changed' if glob.glob('/run/egress/*') else 'EROFS'"
                assert await outcome(session, code) in ("EROFS", "EBUSY", "EPERM", "EACCES"), act
        inodes = [
            await outcome(
                s, "result = sorted(os.stat(p).st_ino for p in glob.glob('/run/egress/*') if not p.endswith('.py'))"
            )
            for s in (one, two)
        ]
        # gVisor numbers the files of each sandbox itself, from the same beginning.
        assert inodes[0] != inodes[1] or inodes[0] == "[]" or arena.engine == "gvisor"


async def questions_flood(arena: Arena) -> None:
    """A person is asked a bounded number of times in a run, in words that act on no terminal; the rest is no, at once."""
    async with arena.own(**{"limits.egress": "ask"}) as session, connect(session.folder, start=False) as person:
        seen: list[asyncio.Task[bool]] = []

        def on_event(event: dict[str, Any]) -> None:
            if event.get("event") == "question":
                seen.append(asyncio.ensure_future(person.answer(event["question"], allow=False, by="ada")))

        attending = asyncio.create_task(person.questions(on_event))
        await asyncio.sleep(0)
        # On the same connection, so the other one is there by then.
        await person.hello()
        await session.python(ASK)
        flood = (
            "from concurrent.futures import ThreadPoolExecutor\nhosts = [f'h{n}.example' for n in range(60)] + ['h0.example'] * 20\n"
            "def one(n, host):\n    m = ''.join(chr(65 + int(c)) for c in str(n))\n"
            "    return ask(f'{m} http://{host}/ HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n'.encode())\n"
            "with ThreadPoolExecutor(10) as pool:\n    result = sorted(set(pool.map(one, range(80), hosts)))"
        )
        assert await outcome(session, flood) == "['403']"
        assert 0 < len(seen) <= MOST_ASKED
        attending.cancel()
        await asyncio.gather(attending, return_exceptions=True)


async def odd_hosts(arena: Arena) -> None:
    """They are refused, and shown to people without acting on their terminal."""
    names = ("evil\x1b[2J.example", "evil\x07.example", "\x9b2J.example", "\u202egro.ipyp", "pypi.org\0.evil.example", "p\u0443pi.org", "xn--ppi-fdd.org",
             "pypi.org\t", "pypi.org#", "pypi.org%00.x", "PyPI.org.", "\u2460.example", "fi\u200dle.example")  # fmt: skip
    async with arena.shared(**{"limits.egress": "registries"}) as session:
        await session.python(ASK)
        for name in names:
            for head in (f"CONNECT {name}:443 HTTP/1.1\r\nHost: {name}\r\n\r\n", f"GET http://{name}/ HTTP/1.1\r\nHost: {name}\r\n\r\n",
                         f"GET http://{name}/\r\n\r\n", f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"):  # fmt: skip
                found = await outcome(session, f"result = ask({head.encode()!r})")
                assert set(found.split()) <= {"400", "403", "closed", "refused"}, (name, found)
        lines = list(read(session.folder.internals / "audit.jsonl"))
        assert lines and {line["verdict"] for line in lines} == {"deny"}
        shown = cli(arena, "sessions", "audit", session.folder.id)
        assert shown.returncode == 0, shown.stderr
        assert not {b for b in shown.stdout if b < 32} - {10} and "\u202e" not in shown.stdout.decode()
        assert "\u202e" not in json.dumps(session.folder.read(), ensure_ascii=False)
