"""The round trip of the smallest cell."""

from __future__ import annotations

import os
from time import perf_counter

from kernel_gateway.supervisor.client import SessionClient

from ..bench import Bench, cell
from ..measuring import Row, Sample, Way
from ..peer import Peer

BARE = "bare kernel, jupyter_client"
COUNT = 25
_RECORD = b"x" * 400 + b"\n"


async def row(bench: Bench) -> Row:
    kernels, gateway = await bench.peer("kernels", "nbclient"), await bench.peer("gateway", "gateway")
    ours, theirs = await bench.session(), await bench.session()
    await kernels.ask("keep", name="bare")
    await kernels.ask("connect", name="ours", connection_file=(await theirs.hello())["connection_file"])

    async def by_jupyter_client() -> Sample:
        sample = await _passes(kernels, name="ours")
        await theirs.notebook()
        return sample

    ways = [
        Way("ours, control socket", lambda: _ours(ours)),
        Way("ours, jupyter_client", by_jupyter_client),
        Way(BARE, lambda: _passes(kernels, name="bare")),
        Way("jupyter_kernel_gateway, websocket", lambda: _passes(gateway)),
        Way("(one append and fdatasync)", lambda: _syncs(bench)),
    ]
    return Row("pass", "Round trip of a cell `pass`", "ms", BARE, ways)


async def _ours(client: SessionClient) -> Sample:
    values: list[float] = []
    for _ in range(COUNT):
        request, began = cell("pass"), perf_counter()
        await client.run(request)
        values.append((perf_counter() - began) * 1000)
    await client.notebook()
    return Sample(values)


async def _passes(peer: Peer, **fields: str) -> Sample:
    answer = await peer.ask("passes", count=COUNT, **fields)
    return Sample([seconds * 1000 for seconds in answer["seconds"]])


async def _syncs(bench: Bench) -> Sample:
    """What durability costs on this disk."""
    values: list[float] = []
    fd = os.open(bench.folder / "sync", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for _ in range(COUNT):
            began = perf_counter()
            os.write(fd, _RECORD)
            os.fdatasync(fd)
            values.append((perf_counter() - began) * 1000)
    finally:
        os.close(fd)
    return Sample(values)
