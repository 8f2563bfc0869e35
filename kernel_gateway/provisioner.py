"""Jupyter's way to a kernel, for the kernelspec ``cell-gateway``: what it starts is a session with a supervisor.

nbclient, papermill, ``jupyter console``, a plain JupyterLab and our own server all come through here.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase

from .config import Settings, load_settings
from .errors import SupervisorUnavailable
from .sandbox.linux import is_readable
from .server import bindings
from .server.rest.waking import open_at_once
from .session.folder import SessionFolder, SessionStore
from .supervisor.client import SessionClient, connect

RESTART_SECONDS = 60.0
_LOOK_SECONDS = 0.02


class SessionProvisioner(KernelProvisionerBase):
    """One session. Its supervisor is nobody's child: whoever made this may end, and the session goes on.

    The kernel manager's interrupts and restarts arrive as messages at the supervisor; nothing here signals a process.
    ``env``, ``cwd`` and the command of the kernelspec are not used: the sandbox has its own.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder: SessionFolder | None = None
        self._pidfd: int | None = None
        self._generation = 0

    @property
    def has_process(self) -> bool:
        return self._pidfd is not None

    async def poll(self) -> int | None:
        return None if self._pidfd is not None and not is_readable(self._pidfd) else 0

    async def wait(self) -> int | None:
        while await self.poll() is None:  # noqa: ASYNC110  a process has no event here
            await asyncio.sleep(_LOOK_SECONDS)
        self._let_go()
        return 0

    async def send_signal(self, signum: int) -> None:
        if signum == signal.SIGINT:
            with suppress(SupervisorUnavailable):
                async with self._connected() as client:
                    if running := (await client.hello())["running"]:
                        await client.interrupt(running)

    async def kill(self, restart: bool = False) -> None:
        with suppress(SupervisorUnavailable):
            async with self._connected() as client:
                if restart:
                    from .supervisor.generations import marker_request

                    generation = (await client.hello())["generation"]
                    await client.restart(marker_request(generation + 1))
                    self._let_go()
                else:
                    await client.stop()

    async def terminate(self, restart: bool = False) -> None:
        await self.kill(restart)

    async def shutdown_requested(self, restart: bool = False) -> None:
        """The request itself went to the supervisor as a message. After a restart the supervisor stays."""
        if not restart or self.folder is None:
            return
        async with self._connected() as client:
            await asyncio.wait_for(self._next_generation(client), RESTART_SECONDS)
        self._let_go()

    async def _next_generation(self, client: SessionClient) -> None:
        while (await client.hello(kernel=True))["generation"] <= self._generation:  # noqa: ASYNC110  another process
            await asyncio.sleep(_LOOK_SECONDS)

    async def cleanup(self, restart: bool = False) -> None:
        if not restart:
            self._let_go()

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        return {**{k: v for k, v in kwargs.items() if k not in ("env", "cwd")}, "cmd": []}

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Raises GatewayError when there can be no session here: there is no unsandboxed kernel to fall back to.

        ``attach`` (of our server): only to a session that runs; SupervisorUnavailable when it does not.
        """
        settings, is_new, attach = load_settings(), False, bool(kwargs.get("attach"))
        if self.folder is None:
            self.folder = bindings.bound(SessionStore(settings.data), str(self.kernel_id))
            if self.folder is None:
                self.folder, is_new = await self._create(settings), True
            elif not attach:
                await open_at_once(settings, self.folder)
        folder = self.folder
        async with connect(folder, start=not attach) as client:
            hello = await client.hello()
            if hello["generation"] == 0:
                hello = await client.hello(kernel=True)
        self._pidfd = os.pidfd_open(hello["pid"])
        self._generation = hello["generation"]
        if is_new:
            _fill_pool(settings, folder)
        info: Any = json.loads(Path(hello["connection_file"]).read_bytes())
        info.pop("kernel_name", None)
        info["key"] = info["key"].encode()
        self.connection_info = info
        self._drop_connection_file()
        return info

    def _drop_connection_file(self) -> None:
        """What a server that was killed left under this kernel id: a manager that finds it there loads nothing."""
        with suppress(OSError, TypeError):
            Path(getattr(self.parent, "connection_file", None) or "").unlink()

    async def _create(self, settings: Settings) -> SessionFolder:
        from .session.opening import create

        folder = await create(settings)
        name = getattr(self.parent, "kernel_name", "") or "cell-gateway"
        bindings.bind(folder, str(self.kernel_id), name)
        return folder

    def _connected(self) -> Any:
        if self.folder is None:
            raise SupervisorUnavailable("This kernel was not started.")
        return connect(self.folder, start=False)

    def _let_go(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def __del__(self) -> None:
        self._let_go()


def _fill_pool(settings: Settings, folder: SessionFolder) -> None:
    if settings["pool.size"]:
        from .session.pool import fill_in_background

        fill_in_background(settings.data, folder.read(), settings["pool.size"])


if __name__ == "__main__":
    # The command of the kernelspec: reached by a launcher that knows nothing of provisioners.
    print(
        "This kernel needs a client with jupyter_client 7 or newer, which starts it by its provisioner.",
        file=sys.stderr,
    )
    sys.exit(2)
