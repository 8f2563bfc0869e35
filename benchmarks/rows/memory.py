"""The memory of an idle session: its kernel, and what we add."""

from __future__ import annotations

from functools import reduce
from operator import add

from ..bench import Bench
from ..measuring import Row, Sample, Way
from ..processes import Memory, descendants, memory

BARE = "bare kernel"


async def row(bench: Bench) -> Row:
    kernels = await bench.peer("kernels", "nbclient")
    client = await bench.session()
    supervisor = int((await client.hello())["pid"])
    bare = int((await kernels.ask("keep", name="memory"))["pid"])
    await kernels.ask("passes", name="memory", count=1)

    async def of_supervisor() -> Sample:
        return _sample(memory(supervisor))

    async def of_kind(kind: str) -> Sample:
        found = [memory(pid) for pid, command in descendants(supervisor).items() if _kind(command) == kind]
        return _sample(reduce(add, found, Memory(0.0, 0.0)))

    async def of_bare() -> Sample:
        return _sample(memory(bare))

    ways = [
        Way("ours: supervisor", of_supervisor),
        Way("ours: bwrap and process 1", lambda: of_kind("bwrap")),
        Way("ours: relay to the network's proxy", lambda: of_kind("other")),
        Way("ours: kernel", lambda: of_kind("kernel")),
        Way(BARE, of_bare),
    ]
    return Row("memory", "Memory of an idle session, private to each process", "MB", BARE, ways, share=0.4)


def _kind(command: str) -> str:
    program = command.split(" ", 1)[0]
    return "bwrap" if program.endswith("bwrap") else "kernel" if " ipykernel_launcher " in command else "other"


def _sample(used: Memory) -> Sample:
    return Sample([used.private], f"PSS {used.pss:.1f} MB")
