"""A driver in an environment of a peer: it times its own work, so that what we add by asking is not counted."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

_DRIVERS = Path(__file__).parent / "drivers"
_LIMIT = 64 * 1024**2


class PeerFailed(Exception):
    """The driver ended or answered with an error; its text is what it wrote."""


class Peer:
    """One running driver."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """One request at a time. Raises PeerFailed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"op": op, **fields}).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise PeerFailed(f"The driver ended during {op!r}.")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerFailed(answer["error"])
        return answer


@asynccontextmanager
async def running(driver: str, python: Path, home: Path) -> AsyncGenerator[Peer]:
    """``home`` holds the kernelspec and is the driver's current folder, away from our own package of the same name."""
    environment = {**os.environ, "JUPYTER_PATH": str(home), "JUPYTER_RUNTIME_DIR": str(home / "runtime")}
    process = await asyncio.create_subprocess_exec(
        python,
        "-W",
        "ignore",
        _DRIVERS / f"{driver}.py",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=home,
        env=environment,
        limit=_LIMIT,
    )
    try:
        yield Peer(process)
    finally:
        # Its input ends, and it ends what it started.
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
