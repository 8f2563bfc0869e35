"""One piece of trusted code over untrusted bytes in a sandbox that is thrown away: a picture is decoded there, never here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..errors import GatewayError
from ..session.policy import Policy
from . import linux
from .engine import Engine, SandboxSpec
from .users import UidRegistry

OUTPUT_BYTES = 64 * 1024**2
_CHUNK = 1024**2


class OneshotFailed(GatewayError):
    """The code did not end well, took too long, or wrote too much. What it was given may be hostile: go on without its result."""


async def run_once(
    engine: Engine,
    image: Path,
    code: str,
    stdin: bytes,
    *,
    timeout: float,
    policy: Policy,
    output_limit: int = OUTPUT_BYTES,
    registry: UidRegistry | None = None,
) -> bytes:
    """What ``code`` writes to stdout when the image's Python runs it with ``stdin``, in isolated mode and an empty read-only workspace.

    ``timeout`` is in seconds of wall time, start included. Raises OneshotFailed, and EngineUnavailable when there is no sandbox.
    """
    with _empty_sandbox(image, code, policy, registry or UidRegistry()) as spec:
        source = linux.memory_file(stdin)
        try:
            return await asyncio.wait_for(_run(engine, spec, source, output_limit), timeout)
        except asyncio.TimeoutError:
            raise OneshotFailed(f"It took longer than {timeout:g} s.") from None
        finally:
            os.close(source)


@contextmanager
def _empty_sandbox(image: Path, code: str, policy: Policy, registry: UidRegistry) -> Generator[SandboxSpec]:
    folder = Path(tempfile.mkdtemp(prefix="cell-gateway-"))
    uid = registry.allocate(folder) if os.geteuid() == 0 else None
    try:
        empty = folder / "empty"
        empty.mkdir(mode=0o755)
        command = ["/image/python/bin/python3", "-I", "-c", code]
        environment = {"PATH": "/image/python/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}
        spec = SandboxSpec(command, environment, image, empty, empty, empty, empty, policy, uid)
        yield replace(spec, writable=False)
    finally:
        # Nothing can have been written into it.
        shutil.rmtree(folder)
        if uid is not None:
            registry.release(uid)


async def _run(engine: Engine, spec: SandboxSpec, stdin: int, limit: int) -> bytes:
    reader, writer = linux.pipe()
    try:
        try:
            if spec.uid is not None:
                os.fchown(writer, spec.uid, spec.uid)
            sandbox = await engine.start(spec, stdin=stdin, stdout=writer)
        finally:
            os.close(writer)
        try:
            data = await _read(reader, limit)
            end = await sandbox.wait()
        finally:
            await asyncio.shield(sandbox.stop())
    finally:
        os.close(reader)
    if end.status != 0:
        raise OneshotFailed(f"It ended with status {end.status}: {sandbox.log_tail()[-2000:].strip()}")
    return data


async def _read(fd: int, limit: int) -> bytes:
    os.set_blocking(fd, False)
    data = bytearray()
    while True:
        await linux.readable(fd)
        with contextlib.suppress(BlockingIOError):
            if not (chunk := os.read(fd, _CHUNK)):
                return bytes(data)
            data += chunk
        if len(data) > limit:
            raise OneshotFailed(f"It wrote more than {limit:,} bytes.")
