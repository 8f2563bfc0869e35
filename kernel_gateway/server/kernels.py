"""Kernels of the server: each a session with a supervisor, which the server attaches to, lets go of, and never owns."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager, ServerKernelManager
from traitlets import default

from ..config import load_settings
from ..errors import GatewayError
from ..session.folder import SessionFolder, SessionStore
from . import bindings
from .kernelspecs import SPECS


class SessionKernel(ServerKernelManager):
    """One session, by its provisioner. Neither restarted nor ended by anything but a request."""

    @default("autorestart")
    def _never(self) -> bool:
        return False

    def cleanup_ipc_files(self) -> None:
        """The sockets are the supervisor's."""


class SessionKernelManager(AsyncMappingKernelManager):
    """Every live session is a kernel here, whoever started it."""

    # A kernel that is listed before it lives would be let go of by whoever lists kernels.
    use_pending_kernels: Any = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._refreshing = asyncio.Lock()
        self._opening: dict[str, asyncio.Task[str]] = {}

    @default("kernel_manager_class")
    def _default_kernel_manager_class(self) -> Any:
        return "kernel_gateway.server.kernels.SessionKernel"

    async def start_kernel(self, *, kernel_name: str | None = None, **kwargs: Any) -> str:  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride]
        """A new session; with the kernel id of one that there is, that session, started when it was stopped.

        ``env`` of a request, and the server's own, stay outside.
        """
        identity = kwargs.get("kernel_id")
        folder = bindings.bound(SessionStore(load_settings().data), identity) if identity else None
        if folder is not None:
            return await self.start_session(folder)
        kwargs.pop("env", None)
        name = kernel_name or self.default_kernel_name
        return await self._async_start_kernel(kernel_name=name, **kwargs)

    async def start_session(self, folder: SessionFolder, *, attach: bool = False) -> str:
        """The kernel of a session, attached to; a stopped one is started, with its variables when they are back soon.

        ``attach``: raises SupervisorUnavailable instead. Who comes while it starts waits for the same start; who leaves ends nothing.
        """
        identity = bindings.kernel_id(folder)
        if identity in self:
            return identity
        if (opening := self._opening.get(identity)) is not None:
            await asyncio.wait([opening])
            # That may have been an attachment to a supervisor that was just ending.
            return await self.start_session(folder, attach=attach)
        opening = self._opening[identity] = asyncio.create_task(self._start(folder, identity, attach))
        opening.add_done_callback(lambda done: self._opening.pop(identity))
        return await asyncio.shield(opening)

    async def _start(self, folder: SessionFolder, identity: str, attach: bool) -> str:
        name = bindings.kernel_name(folder)
        known = name if name in SPECS else "python3"
        return await self._async_start_kernel(kernel_name=known, kernel_id=identity, attach=attach)

    async def refresh(self) -> None:
        """Attach to sessions that have come to life, and let go of those that have ended."""
        async with self._refreshing:
            for identity in self.list_kernel_ids():
                kernel: Any = self.get_kernel(identity)
                if not await kernel.is_alive():
                    self.let_go(identity)
            folders = list(bindings.running(SessionStore(load_settings().data)))
            fresh = [folder for folder in folders if self._is_unknown(bindings.kernel_id(folder))]
            found = await asyncio.gather(*(self._attach(folder) for folder in fresh), return_exceptions=True)
            for folder, failed in zip(fresh, found, strict=True):
                if isinstance(failed, Exception):
                    # One session that cannot be reached keeps nobody from the others.
                    self.log.error("The session %s cannot be attached to: %s", folder.id, failed)

    def _is_unknown(self, identity: str) -> bool:
        """Nobody who lists kernels waits for one that is just brought back."""
        return identity not in self and identity not in self._opening

    async def _attach(self, folder: SessionFolder) -> None:
        from ..supervisor.client import connect

        try:
            async with connect(folder, start=False) as client:
                state = (await client.hello())["state"]
            identity = await self.start_session(folder, attach=True)
        except (GatewayError, OSError):
            # What was left of a supervisor that was killed, or one that is just ending.
            return
        self.get_kernel(identity).execution_state = "busy" if state == "busy" else "idle"  # pyright: ignore[reportAttributeAccessIssue]

    async def interrupt_kernel(self, kernel_id: str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Who stops the kernel stops the model as well: a turn that goes on would run the next cell."""
        folder, context = self.folder_of(kernel_id), getattr(self.parent, "context", None)
        if folder is not None and context is not None:
            await context.turns.stop(folder)
        interrupting: Any = super().interrupt_kernel(kernel_id)
        await interrupting

    def folder_of(self, identity: str) -> SessionFolder | None:
        """The session of a kernel of this server."""
        provisioner: Any = self.get_kernel(identity).provisioner if identity in self else None
        return getattr(provisioner, "folder", None)

    def let_go(self, identity: str) -> None:
        """Forget a kernel; its session is not touched."""
        self.stop_watching_activity(identity)
        self.stop_buffering(identity)
        self.remove_kernel(identity)

    async def list_kernels(self) -> list[dict[str, Any]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        await self.refresh()
        return super().list_kernels()

    async def shutdown_all(self, now: bool = False) -> None:  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride]
        """The server ends, and no session with it."""
        for identity in self.list_kernel_ids():
            self.let_go(identity)

    def initialize_culler(self) -> None:
        """Idle sessions are frozen and stopped by their supervisors."""
        self._initialized_culler = True
