"""The machine: processes, sockets, memory, keys."""

# Cells are one string each.

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

import pytest

from ..arena import Arena, outcome, status

__all__ = [
    "abstract_sockets",
    "crash_leaves_no_core",
    "host_uid",
    "kill_everything",
    "shared_memory",
    "the_canary_is_nowhere_inside",
]

# Runs inside. The canary's halves are joined there, so that the search does not find itself; what it reads is never kept.
SEARCH = """
import os
def search(first, second):
    needle, found = bytes(first, 'ascii') + bytes(second, 'ascii'), []
    def look(path, data):
        if needle in data:
            found.append(path)
    for pid in filter(str.isdigit, os.listdir('/proc')):
        for name in ('environ', 'cmdline', 'comm', 'mountinfo', 'auxv', 'maps'):
            try:
                look(f'/proc/{pid}/{name}', open(f'/proc/{pid}/{name}', 'rb').read())
            except OSError:
                pass
        if int(pid) == os.getpid():
            continue
        try:
            fds = os.listdir(f'/proc/{pid}/fd')
        except OSError:
            fds = []
        for fd in fds:
            try:
                handle = os.open(f'/proc/{pid}/fd/{fd}', os.O_RDONLY | os.O_NONBLOCK)
                look(f'/proc/{pid}/fd/{fd}', os.pread(handle, 1 << 20, 0))
                os.close(handle)
            except OSError:
                pass
        try:
            memory = os.open(f'/proc/{pid}/mem', os.O_RDONLY)
            for line in open(f'/proc/{pid}/maps'):
                start, end = (int(x, 16) for x in line.split()[0].split('-'))
                if end - start < 1 << 28 and end < 1 << 63:
                    try:
                        look(f'/proc/{pid}/mem', os.pread(memory, end - start, start))
                    except OSError:
                        pass
            os.close(memory)
        except OSError:
            pass
    for top in ('/tmp', '/run', '/home', '/workspace', '/outputs', '/etc', '/var', '/dev/shm'):
        for folder, _, names in os.walk(top):
            for name in names:
                try:
                    path = os.path.join(folder, name)
                    if os.path.isfile(path):
                        look(path, open(path, 'rb').read(1 << 22))
                except OSError:
                    pass
    return found
"""


def search_for(canary: str) -> str:
    return f"{SEARCH}\nresult = search({canary[:7]!r}, {canary[7:]!r})"


async def the_canary_is_nowhere_inside(arena: Arena) -> None:
    canary = f"canary-{secrets.token_hex(12)}"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ANTHROPIC_API_KEY", "KG_CANARY", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, canary)
        async with arena.own() as session:
            assert await outcome(session, search_for(canary)) == "[]"


def pids_with(marker: str) -> list[int]:
    """Processes of the whole machine with ``marker`` as an argument."""
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (process / "cmdline").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:
            continue
    return found


async def host_uid(arena: Arena) -> None:
    marker = str(secrets.randbelow(10**8) + 10**8)
    async with arena.shared() as session:
        await session.python(f"subprocess.Popen(['sleep', '{marker}'])")
        pids = pids_with(marker)
        await session.python("subprocess.run(['pkill', 'sleep'])")
        if arena.engine == "gvisor":
            assert pids == []
            return
        uids = {status(pid, "Uid") for pid in pids}
        assert len(uids) == 1 and 0 not in uids
        assert os.getuid() != 0 or uids == {session.folder.read()["uid"]}


async def kill_everything(arena: Arena) -> None:
    async with arena.own() as session:
        result = await session.python(
            "subprocess.run([sys.executable, '-c', 'import os; os.kill(-1, 9)']); time.sleep(5)", timeout=60
        )
        assert result.exit == "died", result
        assert (await session.python("print('on')")).stdout == "on\n"


async def crash_leaves_no_core(arena: Arena) -> None:
    async with arena.own() as session:
        for code in ("os.abort()", "import ctypes; ctypes.string_at(0)"):
            result = await session.python(f"import os; {code}")
            assert (result.exit, "crash" in (result.notice or "")) == ("died", True), result
        assert not list(session.folder.workspace.iterdir())


async def abstract_sockets(arena: Arena) -> None:
    name = f"cell-gateway-test-{secrets.token_hex(6)}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        async with arena.shared() as session:
            code = f"s = socket.socket(1)\ns.connect('\\0{name}')\nresult = 'connected'"
            assert await outcome(session, code) == "ECONNREFUSED"
            await session.python(f"own = socket.socket(1); own.bind('\\0{name}-inside'); own.listen()")
            with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
                client.connect(f"\0{name}-inside")


async def shared_memory(arena: Arena) -> None:
    async with arena.own() as other, arena.shared() as session:
        await other.python(
            "libc.shmget(4711, 4096, 0o1666); open('/dev/shm/theirs', 'w').close(); open('/tmp/theirs', 'w').close()"
        )
        found = await outcome(
            session,
            "result = [libc.shmget(4711, 4096, 0o666), os.path.exists('/dev/shm/theirs'), os.path.exists('/tmp/theirs')]",
        )
        assert found == "[-1, False, False]"
