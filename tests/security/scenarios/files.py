"""Files that hostile code made, in the hands of a person."""

# Cells are one string each.
# ruff: noqa: E501

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kernel_gateway.errors import BadRequest, FileTooLarge, GatewayError, NotFound, UnsafePath
from kernel_gateway.session.files import get, listing, put
from kernel_gateway.session.folder import SessionFolder
from kernel_gateway.session.mounts import parse_mount
from kernel_gateway.terminal import escape_name

from ..arena import Arena, outcome

__all__ = ["archives", "link_race", "links", "mounted_sockets", "odd_files", "odd_names"]


def read(folder: SessionFolder, path: str) -> bytes:
    with get(folder, path) as file:
        return b"".join(file.chunks())


def cli(arena: Arena, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "CELL_GATEWAY_DATA": str(arena.data), "CELL_GATEWAY_POOL_SIZE": "0"}
    command = [sys.executable, "-m", "kernel_gateway", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=False, cwd=arena.data, timeout=60)


async def links(arena: Arena) -> None:
    async with arena.own() as session:
        await session.python(
            "os.symlink('/etc/shadow', 'report.pdf'); os.symlink('/etc', 'folder'); os.symlink('report.pdf', 'again'); os.symlink('.', 'self')\n"
            "open('real', 'w').write('x'); os.chmod('real', 0o6777)"
        )
        for path in ("report.pdf", "folder/shadow", "again", "self/real", "../.session/session.json", "/etc/passwd"):
            with pytest.raises((UnsafePath, NotFound)):
                read(session.folder, path)
        assert {e.kind for e in listing(session.folder)} == {"link", "file"}
        out = arena.data / "real"
        done = cli(arena, "files", "get", session.folder.id, "real", "-o", str(out))
        assert done.returncode == 0, done.stderr
        assert stat.S_IMODE(out.stat().st_mode) & ~0o755 == 0
        out.unlink()


async def link_race(arena: Arena) -> None:
    async with arena.own() as session:
        await session.python(
            "os.mkdir('own'); open('own/passwd', 'w').write('mine'); os.symlink('/etc', 'link')\ndef swap():\n    while True:\n"
            "        for name in ('own', 'link'):\n            os.rename(name, 'dir'); os.rename('dir', name)\n"
            "threading.Thread(target=swap, daemon=True).start()"
        )
        seen: set[bytes] = set()
        for _ in range(2000):
            try:
                seen.add(read(session.folder, "dir/passwd"))
            except GatewayError:
                continue
        assert seen <= {b"mine"}


async def odd_files(arena: Arena) -> None:
    async with arena.own() as session:
        await session.python(
            # gVisor makes neither on the machine.
            "refused(lambda: os.mkfifo('fifo')); s = socket.socket(1); refused(lambda: s.bind('socket')); open('closed', 'w').write('x'); os.chmod('closed', 0)\n"
            "os.mkdir('shut'); open('shut/f', 'w').close(); os.chmod('shut', 0)\n"
            "def grow():\n    with open('log', 'ab') as f:\n        while True: f.write(b'y' * 100); f.flush(); time.sleep(0.001)\n"
            "open('log', 'wb').write(b'x' * 1000)\nthreading.Thread(target=grow, daemon=True).start()\n"
            "open('hole', 'wb').truncate(199 << 20)"
        )
        for path in ("fifo", "socket"):
            with pytest.raises((UnsafePath, NotFound) if arena.engine == "gvisor" else UnsafePath):
                read(session.folder, path)
        with get(session.folder, "log") as file:
            assert sum(map(len, file.chunks())) == file.size
        if os.getuid() != 0:
            with pytest.raises(GatewayError):
                read(session.folder, "closed")
        made = set[str]() if arena.engine == "gvisor" else {"fifo", "socket"}
        assert {*made, "closed", "shut", "log"} <= {e.path for e in listing(session.folder)}


NAMES = (
    b"\xff", b"a\nb", b"\x1b[31mred", b"-rf", b"x" * 255, "\u202egnp.exe".encode(), b"con", b".dot", b"notebook.ipynb", b"a\rb",
    b"\x1b]52;c;aGk=\x07", b"%n%s", b"<script>", "a\u2028b".encode(), b"..x",
)  # fmt: skip


async def odd_names(arena: Arena) -> None:
    async with arena.own() as session:
        await session.python(f"for name in {NAMES!r}: open(name, 'wb').write(b'odd')")
        entries = list(listing(session.folder))
        assert {os.fsencode(e.path) for e in entries} == set(NAMES)
        assert all(read(session.folder, e.path) == b"odd" for e in entries)
        assert all(escape_name(e.path).isprintable() for e in entries)
        shown = cli(arena, "files", "ls", session.folder.id)
        assert shown.returncode == 0
        assert not {b for b in shown.stdout if b < 32} - {10}
        assert len(shown.stdout.splitlines()) == len(NAMES)
        out = arena.data / "out"
        out.mkdir()
        for name in (b"a\nb", b"\x1b[31mred", b"..x"):
            done = cli(arena, "files", "get", session.folder.id, "-o", str(out), "--", os.fsdecode(name))
            assert (done.returncode, b"\x1b" in done.stdout + done.stderr) == (0, False), done
        assert {os.fsencode(p.name) for p in out.iterdir()} == {b"a\nb", b"\x1b[31mred", b"..x"}


async def archives(arena: Arena) -> None:
    """What a person uploads goes in as it is: nothing is unpacked, links and odd kinds stay behind, names cannot climb."""
    source = arena.data / "upload"
    source.mkdir()
    (source / "bomb.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    (source / "secret").symlink_to("/etc/shadow")
    async with arena.own(**{"limits.upload": "1 MB"}) as session:
        upload = put(session.folder, source)
        assert [f.path for f in upload.files] == ["upload/bomb.zip"]
        assert upload.skipped == [("secret", "a link")]
        for name in ("../x", "/x", "a/../../x", "..", "."):
            with pytest.raises((UnsafePath, BadRequest)):
                put(session.folder, source / "bomb.zip", name=name)
        with (arena.data / "big").open("wb") as big:
            big.truncate(1 << 40)
        with pytest.raises(FileTooLarge):
            put(session.folder, arena.data / "big")
        (arena.data / "big").unlink()
        assert await outcome(session, "result = sorted(os.listdir('upload'))") == "['bomb.zip']"
    for path in source.iterdir():
        path.unlink()
    source.rmdir()


async def mounted_sockets(arena: Arena) -> None:
    """A socket can be connected to through a read-only mount, so a folder that holds one is not shown at all."""
    import socket

    top: Path = arena.data / "shared"
    (top / "deep" / "er").mkdir(parents=True)
    assert parse_mount(str(top), own=[]).name == "shared"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(top / "deep" / "er" / "s"))
        for path in (top, top / "deep", top / "deep" / "er" / "s"):
            with pytest.raises(BadRequest):
                parse_mount(str(path), own=[])
    (top / "deep" / "er" / "s").unlink()
