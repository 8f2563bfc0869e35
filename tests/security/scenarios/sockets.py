"""The kernel's sockets and its connection file lie where hostile code writes: nothing there sends the supervisor elsewhere."""

# Cells are one string each.
# ruff: noqa: E501

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from kernel_gateway.errors import GatewayError
from kernel_gateway.session.folder import runtime_root
from kernel_gateway.supervisor.client import connect
from tests.conftest import LiveSession

from ..arena import Arena

__all__ = [
    "emptied_layer",
    "garbage",
    "hostile_layer",
    "killed_kernel",
    "planted_links",
    "removed_sockets",
    "rewritten_connection_file",
    "stopped_kernel",
]


@asynccontextmanager
async def victim(arena: Arena) -> AsyncGenerator[tuple[Path, list[int]]]:
    """A socket of the machine that anybody may connect to, and the connections that it got."""
    path, seen = arena.data / "victim.sock", list[int]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(1)
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    path.chmod(0o777)
    async with server:
        yield path, seen
    path.unlink(missing_ok=True)


async def goes_on(session: LiveSession) -> None:
    assert (await session.python("print('on')", timeout=60)).stdout == "on\n"


# Runs at the start of each kernel: as soon as a socket is there it is replaced by a link.
_PLANT = """
import os, threading
def plant():
    while True:
        for number in (1, 2, 3, 4, 5):
            place = f'/run/kernel/k-{number}'
            if os.path.exists(place) and not os.path.islink(place):
                os.symlink(TARGET, place + '.new')
                os.rename(place + '.new', place)
threading.Thread(target=plant, daemon=True).start()
"""


async def planted_links(arena: Arena) -> None:
    """The start fails or works, and nobody else's socket is touched; once the plant is gone the session lives."""
    async with victim(arena) as (path, seen), arena.own() as session:
        plant = _PLANT.replace("TARGET", repr(str(path)))
        await session.python(
            f"import site\nopen(site.getsitepackages()[0] + '/plant.pth', 'w').write({'import plant'!r})\n"
            f"open(site.getsitepackages()[0] + '/plant.py', 'w').write({plant!r})"
        )
        await session.client.stop()
        async with connect(session.folder) as client:
            for number in range(3):
                try:
                    await asyncio.wait_for(client.run(session.request(f"print({number})", timeout=20)), 90)
                except GatewayError as error:
                    # Or the plant was so quick that the kernel itself could not bind.
                    told = ("is not a socket of the kernel", "sockets", "before it was ready")
                    assert any(words in str(error) for words in told), error
                except asyncio.TimeoutError:
                    pass
        assert seen == []
        for planted in session.folder.layer.rglob("plant.*"):
            planted.unlink()
        async with connect(session.folder) as client:
            await client.stop()
        async with connect(session.folder) as client:
            assert (await client.run(session.request("print('on')"))).stdout == "on\n"


async def hostile_layer(arena: Arena) -> None:
    """A layer whose Python never becomes a kernel: told within the time for a start, and the session can be deleted."""
    async with arena.own() as session:
        await session.python(
            "import site\nopen(site.getsitepackages()[0] + '/plant.pth', 'w').write('import os; os._exit(3)')"
        )
        await session.client.stop()
        async with connect(session.folder) as client:
            try:
                await client.run(session.request("print('never')"))
            except GatewayError as error:
                assert "before it was ready" in str(error)
            else:
                raise AssertionError("it ran")


async def emptied_layer(arena: Arena) -> None:
    """The environment is made anew beside what was left there, and no link leads what root or the person writes elsewhere."""
    outside = arena.data / "outside"
    outside.mkdir(mode=0o777)
    async with arena.own() as session:
        await session.python(
            "import shutil\nshutil.rmtree('/home/user/venv'); shutil.rmtree('/home/user/.config', ignore_errors=True)\n"
            f"os.symlink({str(outside)!r}, '/home/user/.config')"
        )
        await session.client.stop()
        async with connect(session.folder) as client:
            result = await client.run(session.request("import sys; print(sys.prefix)"))
            assert result.stdout == "/home/user/venv\n"
    assert list(outside.iterdir()) == []
    outside.rmdir()


async def rewritten_connection_file(arena: Arena) -> None:
    async with victim(arena) as (path, seen), arena.own() as session:
        code = (
            "f = json.load(open('/run/kernel/connection.json')) if os.path.exists('/run/kernel/connection.json') else {}\n"
            f"f.update(transport='ipc', ip={str(path)[:-5]!r}, key='x')\n"
            "json.dump(f, open('/run/kernel/connection.json', 'w'))\n"
            f"for n in range(1, 6):\n    os.unlink(f'/run/kernel/k-{{n}}'); os.symlink({str(path)!r}, f'/run/kernel/k-{{n}}')\nprint('done')"
        )
        assert (await session.python(code)).stdout == "done\n"
        await goes_on(session)
        os.kill(int((await session.client.hello())["pid"]), signal.SIGKILL)
        async with connect(session.folder) as client:
            result = await client.run(session.request("print('on')"))
            assert (result.stdout, (await client.hello())["generation"]) == ("on\n", 2)
        assert seen == []


async def removed_sockets(arena: Arena) -> None:
    async with arena.own() as session:
        await session.python("for f in glob.glob('/run/kernel/*'): os.unlink(f)")
        await goes_on(session)


async def stopped_kernel(arena: Arena) -> None:
    async with arena.own() as session:
        result = await session.python("os.kill(os.getpid(), signal.SIGSTOP)", timeout=2)
        assert result.exit == "timeout", result
        await goes_on(session)


async def killed_kernel(arena: Arena) -> None:
    async with arena.own() as session:
        result = await session.python(
            "print('before', flush=True); time.sleep(0.5); os.kill(os.getpid(), 9)", timeout=60
        )
        assert (result.exit, "killed" in (result.notice or "")) == ("died", True), result
        await goes_on(session)
        assert runtime_root().is_dir()


async def garbage(arena: Arena) -> None:
    """Bytes that are no ZMQ, written into the connections that the supervisor has made."""
    async with arena.own() as session:
        code = (
            "for fd in range(3, 500):\n    try:\n        s = socket.socket(fileno=os.dup(fd))\n        name = s.getsockname()\n"
            "    except OSError:\n        continue\n"
            "    if s.family == socket.AF_UNIX and str(name).startswith('/run/kernel/'):\n"
            "        for noise in (b'\\x02' + b'\\xff' * 8, os.urandom(4096)):\n            try:\n                s.send(noise)\n"
            "            except OSError:\n                pass\n    s.close()\nprint('after')"
        )
        result = await session.python(code, timeout=5)
        assert result.exit in ("timeout", "ok", "error", "died")
        await goes_on(session)
