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

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._refreshing = asyncio.Lock()

    @default("kernel_manager_class")
    def _default_kernel_manager_class(self) -> Any:
        return "kernel_gateway.server.kernels.SessionKernel"

    async def start_kernel(self, *, kernel_name: str | None = None, **kwargs: Any) -> str:  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride]
        """A new session; with the kernel id of one that there is, that session, started when it was stopped.

        ``env`` of a request, and the server's own, stay outside.
        """
        kwargs.pop("env", None)
        name = kernel_name or self.default_kernel_name
        return await self._async_start_kernel(kernel_name=name, **kwargs)

    async def start_session(self, folder: SessionFolder) -> str:
        """The kernel of a session, attached to, or started."""
        identity = bindings.kernel_id(folder)
        if identity not in self:
            name = bindings.kernel_name(folder)
            await self.start_kernel(kernel_name=name if name in SPECS else "python3", kernel_id=identity)
        return identity

    async def refresh(self) -> None:
        """Attach to sessions that have come to life, and let go of those that have ended."""
        async with self._refreshing:
            for identity in self.list_kernel_ids():
                kernel: Any = self.get_kernel(identity)
                if not await kernel.is_alive():
                    self.let_go(identity)
            folders = list(bindings.running(SessionStore(load_settings().data)))
            fresh = [folder for folder in folders if bindings.kernel_id(folder) not in self]
            found = await asyncio.gather(*(self._attach(folder) for folder in fresh), return_exceptions=True)
            for folder, failed in zip(fresh, found, strict=True):
                if isinstance(failed, Exception):
                    # One session that cannot be reached keeps nobody from the others.
                    self.log.error("The session %s cannot be attached to: %s", folder.id, failed)

    async def _attach(self, folder: SessionFolder) -> None:
        from ..supervisor.client import connect

        try:
            async with connect(folder, start=False) as client:
                state = (await client.hello())["state"]
        except (GatewayError, OSError):
            # What was left of a supervisor that was killed, or one that is just ending.
            return
        identity = await self.start_session(folder)
        self.get_kernel(identity).execution_state = "busy" if state == "busy" else "idle"  # pyright: ignore[reportAttributeAccessIssue]

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
