"""Files and exports as a browser shows them: code inside made them, so nothing in them runs and nothing is fetched for them."""

from __future__ import annotations

from typing import Any

from jupyter_server.files.handlers import FilesHandler
from jupyter_server.nbconvert.handlers import NbconvertFileHandler, NbconvertPostHandler, default_handlers

_NOTHING = "default-src 'none'; img-src data:; media-src data:; font-src data:; style-src 'unsafe-inline'"
# A link in it may be followed by whoever presses it.
_SANDBOX = "sandbox allow-popups allow-popups-to-escape-sandbox; frame-ancestors 'self'"
POLICY = f"{_SANDBOX}; {_NOTHING}"


class UntrustedFiles(FilesHandler):
    """``/files``. Jupyter's own lets scripts of a page run in an origin of their own, from which they reach the whole internet."""

    @property
    def content_security_policy(self) -> str:
        # In a sandbox browsers show no PDF at all; as one it runs nothing.
        return f"frame-ancestors 'self'; {_NOTHING}" if self.request.path.lower().endswith(".pdf") else POLICY


class UntrustedExport(NbconvertFileHandler):
    """``/nbconvert`` of a notebook that lies here."""

    @property
    def content_security_policy(self) -> str:
        return POLICY


class UntrustedConversion(NbconvertPostHandler):
    """``/nbconvert`` of what is sent."""

    @property
    def content_security_policy(self) -> str:
        return POLICY


_OURS: dict[type, type] = {NbconvertFileHandler: UntrustedExport, NbconvertPostHandler: UntrustedConversion}
handlers: list[tuple[Any, ...]] = [(pattern, _OURS[handler]) for pattern, handler in default_handlers]
