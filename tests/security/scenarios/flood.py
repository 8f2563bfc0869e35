"""Width: the supervisor's memory stays bounded, what is lost is told, and nothing else is."""

# Cells are one string each.
# ruff: noqa: E501

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import zmq

from kernel_gateway.session.folder import runtime_folder
from kernel_gateway.supervisor.client import connect
from tests.conftest import LiveSession

from ..arena import MB, Arena, status

__all__ = [
    "endless_frames",
    "giant_display",
    "giant_reply",
    "many_displays",
    "many_prints",
    "many_updates",
    "slow_front_end",
    "stopped_front_end",
]

SUPERVISOR_MB = 150
# A kernel that packs 200 MB takes several times that.
ROOMY = {"limits.memory": "4 GB"}


@asynccontextmanager
async def watched(arena: Arena, **settings: str) -> AsyncGenerator[LiveSession]:
    """A session whose supervisor never took more than it may, whatever happened in it, and that goes on."""
    async with arena.own(**settings) as session:
        pid = int((await session.client.hello(kernel=True))["pid"])
        yield session
        async with connect(session.folder, start=False) as client:
            assert (await client.run(session.request("print('on')"))).stdout == "on\n"
        taken = status(pid, "VmHWM") // 1024
        print("supervisor took", taken, "MB")
        assert taken < SUPERVISOR_MB, taken


async def giant_display(arena: Arena) -> None:
    async with watched(arena, **ROOMY) as session:
        result = await session.python(
            "display({'text/plain': 'x' * (200 << 20)}, raw=True); print('after')", timeout=120
        )
        assert (result.exit, result.stdout) == ("ok", "after\n"), result
        assert result.notice and "1 output was over" in result.notice


async def giant_reply(arena: Arena) -> None:
    async with watched(arena, **ROOMY) as session:
        code = (
            "from ipykernel.kernelapp import IPKernelApp\nk = IPKernelApp.instance().kernel\n"
            "k.session.send(k.shell_stream, 'execute_reply', {'status': 'ok', 'x': 'x' * (200 << 20)}, k.get_parent(),"
            " ident=k.get_parent_ident() if hasattr(k, 'get_parent_ident') else k._parent_ident['shell'])\nprint('after')"
        )
        result = await session.python(code, timeout=120)
        assert (result.exit, result.ename, result.stdout) == ("error", "ReplyTooLarge", "after\n"), result


async def endless_frames(arena: Arena) -> None:
    async with watched(arena, **ROOMY) as session:
        code = (
            "from ipykernel.kernelapp import IPKernelApp\nk = IPKernelApp.instance().kernel\n"
            "for _ in range(3): k.iopub_socket.send_multipart([b'x' * 1000] * 100_000)\nprint('after')"
        )
        result = await session.python(code, timeout=120)
        assert result.stdout == "after\n"
        assert result.notice and "3 outputs were over" in result.notice


async def many_prints(arena: Arena) -> None:
    async with watched(arena) as session:
        result = await session.python("for i in range(500_000): print(i)", timeout=120)
        assert result.total == sum(len(f"{i}\n") for i in range(500_000))
        assert result.stdout.endswith("499999\n")


async def many_displays(arena: Arena) -> None:
    async with watched(arena) as session:
        result = await session.python("for i in range(20_000): display({'text/plain': str(i)}, raw=True)", timeout=120)
        assert [o["data"]["text/plain"] for o in result.outputs] == [str(i) for i in range(20_000)]


async def many_updates(arena: Arena) -> None:
    async with watched(arena) as session:
        code = "h = display({'text/plain': ''}, raw=True, display_id='u')\nfor i in range(10_000): h.update({'text/plain': str(i)}, raw=True)"
        result = await session.python(code, timeout=120)
        assert [o["data"]["text/plain"] for o in result.outputs] == ["9999"]


BIG = (
    "for i in range(30): display({'text/plain': 'x' * (8 << 20)}, raw=True)\nfor i in range(2000): print('y' * 10_000)"
)


async def slow_front_end(arena: Arena) -> None:
    """A Jupyter client that subscribes and never reads."""
    async with watched(arena) as session:
        facts = json.loads(Path((await session.client.hello())["connection_file"]).read_text())
        with zmq.Context() as context, context.socket(zmq.SUB) as reader:
            reader.setsockopt(zmq.RCVHWM, 1)
            reader.setsockopt(zmq.SUBSCRIBE, b"")
            reader.connect(f"ipc://{facts['ip']}-{facts['iopub_port']}")
            await session.python("print('heard')")
            await asyncio.to_thread(reader.poll, 20_000)
            result = await session.python(BIG, timeout=120)
            assert result.notice and "displays were over" in result.notice
            reader.setsockopt(zmq.LINGER, 0)


async def stopped_front_end(arena: Arena) -> None:
    """Our own front end asks for a run and then stands still: the run ends, and is whole when it is asked for again."""
    async with watched(arena) as session:
        reader, writer = await asyncio.open_unix_connection(runtime_folder(session.folder) / "control", limit=1000)
        request = {"op": "run", "run": "big", "cell": "big", "source": BIG, "timeout": 120}
        writer.write(orjson.dumps({"id": 1, **request}) + b"\n")
        await reader.read(10)
        result = await session.client.run(session.request(BIG, run="big", cell="big"))
        assert len([o for o in result.outputs if o["output_type"] == "display_data"]) == 12
        assert result.stdout.endswith("y\n")
        writer.transport.abort()
        assert session.folder.journal.stat().st_size < 200 * MB
