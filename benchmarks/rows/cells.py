"""One more cell in a long session, against one in a short session: what is saved must not grow with what is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter

from kernel_gateway.supervisor.client import SessionClient

from ..bench import Bench, cell, write_history
from ..measuring import Row, Sample, Way
from ..peer import Peer

# Each of the cells printed so much: 50 MB in 1,000 cells.
TEXT = ("x" * 99 + "\n") * 500
SHORT, LONG = 10, 1000
COUNT = 10
OURS, OURS_FILE, THEIRS = "ours, durable", "ours, and notebook.ipynb", "nbformat.write"


async def row(bench: Bench) -> Row:
    notebooks = await bench.peer("notebooks", "nbclient")
    ours: list[Way] = []
    files: list[Way] = []
    theirs: list[Way] = []
    for cells in (SHORT, LONG):
        size = f"{cells:,} cells"
        client = await _session(bench, cells)
        await notebooks.ask("make", name=size, cells=cells, text=TEXT)
        ours.append(_way(OURS, size, lambda client=client: _ours(client)))
        files.append(_way(OURS_FILE, size, lambda client=client: _ours_with_file(client)))
        theirs.append(_way(THEIRS, size, lambda size=size: _theirs(notebooks, size)))
    title = f"One more cell in a session of {LONG:,} cells and {LONG * len(TEXT) // 10**6} MB"
    return Row("cell", title, "ms", ours[0].name, [*ours, *files, *theirs], share=0.5)


def _way(name: str, size: str, measure: Callable[[], Awaitable[Sample]]) -> Way:
    """Its ratio is against the same way in the short session."""
    return Way(f"{name}, {size}", measure, base=f"{name}, {SHORT} cells")


async def _session(bench: Bench, cells: int) -> SessionClient:
    folder = bench.new_folder()
    write_history(folder, cells, TEXT)
    return await bench.session(folder)


async def _ours(client: SessionClient) -> Sample:
    """The cell and a record of the model's words, each acknowledged once it is on disk."""
    values: list[float] = []
    for _ in range(COUNT):
        request, began = cell("pass"), perf_counter()
        await client.run(request)
        await client.record("words", cell=f"w-{request.cell}"[:60], turn="t", text="Done.", model="none")
        values.append((perf_counter() - began) * 1000)
    await client.notebook()
    return Sample(values)


async def _ours_with_file(client: SessionClient) -> Sample:
    began = perf_counter()
    await client.run(cell("pass"))
    await client.notebook()
    return Sample([(perf_counter() - began) * 1000])


async def _theirs(peer: Peer, name: str) -> Sample:
    return Sample([(await peer.ask("write", name=name))["seconds"] * 1000])
