"""Many printed lines: how long they take, and how many are kept."""

from __future__ import annotations

from time import perf_counter

from kernel_gateway.journal import BlobStore, read
from kernel_gateway.supervisor.client import SessionClient
from kernel_gateway.supervisor.runs import RunRequest, RunResult

from ..bench import Bench, cell
from ..measuring import Row, Sample, Way
from ..peer import Peer

LINES = 200_000
PYTHON = f"for i in range({LINES}): print(i)"
BASH = f"%%bash\nseq {LINES}"
BARE = "bare kernel, jupyter_client"
BASH_BARE = "%%bash: plain, nbclient"


async def row(bench: Bench) -> Row:
    kernels, notebooks = await bench.peer("kernels", "nbclient"), await bench.peer("notebooks", "nbclient")
    client = await bench.session()
    await client.run(cell("%%bash\ntrue", tool="bash"))
    await kernels.ask("keep", name="lines")
    await notebooks.ask("keep")
    ways = [
        Way("ours", lambda: _ours(client, cell(PYTHON))),
        Way(BARE, lambda: _theirs(kernels, name="lines", source=PYTHON)),
        Way("nbclient", lambda: _theirs(notebooks, source=PYTHON)),
        Way("%%bash: ours", lambda: _ours(client, cell(BASH, tool="bash")), base=BASH_BARE),
        Way(BASH_BARE, lambda: _theirs(notebooks, source=BASH), base=BASH_BARE),
    ]
    return Row("lines", f"{LINES:,} printed lines", "ms", BARE, ways, share=0.4)


async def _ours(client: SessionClient, request: RunRequest) -> Sample:
    """Counted in the journal: that is what the notebook is made of."""
    began = perf_counter()
    await client.run(request)
    milliseconds = (perf_counter() - began) * 1000
    folder = client.folder
    recorded = RunResult.from_records(request.run, read(folder.journal).records, BlobStore(folder.blobs))
    await client.notebook()
    return _sample(milliseconds, recorded.stdout.count("\n") if recorded else 0)


async def _theirs(peer: Peer, **fields: str) -> Sample:
    answer = await peer.ask("lines", **fields)
    return _sample(answer["seconds"] * 1000, answer["lines"])


def _sample(milliseconds: float, kept: int) -> Sample:
    return Sample([milliseconds], f"{kept:,} of {LINES:,} lines kept" + ("" if kept == LINES else " (!)"))
