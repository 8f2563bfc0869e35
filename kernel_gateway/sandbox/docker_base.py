"""Our root file system in the container engine: imported under one name, with labels that say what it is."""

from __future__ import annotations

import json
from pathlib import Path

import aiodocker
import aiohttp

from ..errors import EngineUnavailable
from .docker_daemon import BASE_IMAGE, DIGEST_LABEL, LIBC_LABEL, Daemon


async def import_base(daemon: Daemon, archive: Path, digest: str, libc: str) -> None:
    """Make ``archive`` the root file system of all sandboxes to come; those that run keep theirs. Raises EngineUnavailable."""
    changes = [f'LABEL {DIGEST_LABEL}="{digest}"', f'LABEL {LIBC_LABEL}="{libc}"']
    # Podman knows no separate tag.
    query = [("fromSrc", "-"), ("repo", BASE_IMAGE), *(("changes", change) for change in changes)]
    try:
        async with aiodocker.Docker(url=f"unix://{daemon.socket}") as client:
            await client.version()
            with archive.open("rb") as data:
                response = await client.session.post(
                    f"{client.docker_host}/images/create", params=query, data=data, timeout=aiohttp.ClientTimeout()
                )
                async with response:
                    _check(response.status, await response.text())
    except (aiodocker.DockerError, aiohttp.ClientError, OSError) as error:
        raise EngineUnavailable(
            f"{daemon.engine} took no root file system: {error}.", "See: cell-gateway doctor"
        ) from error


def _check(status: int, text: str) -> None:
    """A failure after the first byte is told in the last line of a good answer."""
    lines = text.strip().splitlines()
    last = json.loads(lines[-1]) if lines else {}
    if status >= 400 or "error" in last:
        raise OSError(str(last.get("message") or last.get("error") or status))
