"""Bombs: the session that holds one pays for it alone, and is told."""

# Cells are one string each.
# ruff: noqa: E501

from __future__ import annotations

import asyncio
import secrets

from kernel_gateway.notebook.export import export
from kernel_gateway.session.files import listing

from ..arena import DIED, Arena, outcome
from .host import pids_with

__all__ = [
    "busy_threads",
    "disk_bomb",
    "fork_bomb",
    "full_temporary_folders",
    "memory_bomb",
    "nested_folders",
    "runaways",
]


async def fork_bomb(arena: Arena) -> None:
    async with arena.own() as session:
        code = (
            "children = []\ndef bomb():\n    while len(children) < 5000:\n        pid = os.fork()\n        if pid == 0:\n"
            "            time.sleep(600)\n            os._exit(0)\n        children.append(pid)\n"
            "result = refused(bomb), len(children) < 100\nfor pid in children:\n    os.kill(pid, 9)\n    os.waitpid(pid, 0)"
        )
        # gVisor's own kernel may be what finds no thread any more: then it ends, and the sandbox with it.
        assert await outcome(session, code) in ("['EAGAIN', True]", *([DIED] if arena.engine == "gvisor" else []))
        assert (await session.python("print('on')")).stdout == "on\n"


async def memory_bomb(arena: Arena) -> None:
    async with arena.own() as session, arena.shared() as other:
        code = "held = []\nfor _ in range(200):\n    held.append(bytearray(os.urandom(1 << 20) * 100))"
        result = await session.python(code, timeout=120)
        assert result.ename == "MemoryError" or (result.exit == "died" and "out of memory" in (result.notice or "")), (
            result
        )
        assert (await other.python("print('on')")).stdout == "on\n"
        assert (await session.python("held = None; print('on')")).stdout == "on\n"


async def full_temporary_folders(arena: Arena) -> None:
    async with arena.own() as session:
        for place in ("/tmp", "/dev/shm", "/run"):
            code = (
                f"def fill():\n    for number in range(3000):\n        with open(f'{place}/fill-{{number}}', 'wb') as file:\n"
                f"            file.write(bytes(1 << 20))\nresult = refused(fill)"
            )
            assert await outcome(session, code) in ("ENOSPC", "EACCES", "EROFS"), place
        assert (await session.client.hello())["generation"] == 1


async def disk_bomb(arena: Arena) -> None:
    """An error inside, or a cell that is stopped with the reason; never a full disk of the machine."""
    async with arena.own() as session:
        hole = await outcome(session, "result = refused(lambda: open('hole', 'wb').truncate(4 << 40))")
        assert hole in ("EFBIG", "ENOSPC", "EDQUOT")
        fill = "for number in range(100):\n    open(f'f{number}', 'wb').write(bytes(20 << 20)); time.sleep(0.1)"
        result = await session.python(fill, timeout=120)
        assert result.exit != "ok" and ("disk" in (result.notice or "") or result.ename == "OSError"), result
        held = sum(p.stat().st_blocks * 512 for p in session.folder.workspace.iterdir())
        assert held < 800 << 20
        assert (await session.python("for f in os.listdir('.'): os.unlink(f)\nprint('on')")).stdout == "on\n"


async def nested_folders(arena: Arena) -> None:
    async with arena.own() as session:
        result = await session.python(
            "for _ in range(2000): os.mkdir('d'); os.chdir('d')\nos.chdir('/workspace')\nprint('made')"
        )
        assert result.stdout == "made\n"
        assert sum(1 for _ in listing(session.folder)) == 2000
        await session.client.notebook()
        for to in ("ipynb", "html"):
            assert export(session.folder, to).path.is_file()


async def busy_threads(arena: Arena) -> None:
    # test_neighbours has what they do to others; here one processor is enough.
    async with arena.own(**{"limits.cpus": 1.0}) as session:
        code = (
            "signal.signal(signal.SIGINT, signal.SIG_IGN)\ndef spin():\n    while True: pass\n"
            "try:\n    for _ in range(20): threading.Thread(target=spin, daemon=True).start()\n"
            # An ordinary user's sessions share one limit of processes.
            "except RuntimeError: pass\nspin()"
        )
        result = await session.python(code, timeout=2)
        assert (result.exit, "It did not stop" in (result.notice or "")) == ("timeout", True), result
        assert (await session.python("print('on')")).stdout == "on\n"


async def runaways(arena: Arena) -> None:
    marker = str(secrets.randbelow(10**8) + 10**8)
    async with arena.own() as session:
        code = (
            f"subprocess.Popen(['setsid', 'nohup', 'sleep', '{marker}'])\n"
            f"if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        os.execvp('sleep', ['sleep', '{marker}'])\n    os._exit(0)"
        )
        await session.python(code)
        # gVisor's processes are not the machine's; elsewhere both have left their parents in a moment.
        while arena.engine != "gvisor" and len(pids_with(marker)) < 2:
            await asyncio.sleep(0.05)
        await session.client.stop()
        assert pids_with(marker) == []
