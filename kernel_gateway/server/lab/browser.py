"""What JupyterLab's page may do in a browser, whatever outputs hold: run JupyterLab's own script and ask only this server."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


@dataclass(frozen=True)
class Policy:
    """A Content-Security-Policy. ``scripts``: the paths below which JupyterLab's own scripts are; ``hashes``: those in its page.

    Neither ``'self'`` nor ``'strict-dynamic'`` would do: a file of a workspace is on this server too, and JupyterLab makes script elements
    of those that it finds in a trusted output. ``'unsafe-eval'`` is for its validator of settings, which compiles them.
    """

    scripts: Sequence[str]
    hashes: Sequence[str]

    def header(self, host: str) -> str:
        """``host``: name and port as the browser asked for them."""
        allowed = [*(f"{host}{path}" for path in self.scripts), *(f"'sha256-{digest}'" for digest in self.hashes)]
        return "; ".join(
            (
                "default-src 'none'",
                f"script-src {' '.join(allowed)} 'unsafe-eval'",
                "style-src 'self' 'unsafe-inline'",
                # Older browsers do not take 'self' for websockets.
                f"connect-src 'self' ws://{host} wss://{host}",
                "img-src 'self' data: blob:",
                "media-src 'self' data: blob:",
                "font-src 'self' data:",
                "frame-src 'self' blob:",
                "object-src 'none'",
                "base-uri 'none'",
                "form-action 'self'",
                "frame-ancestors 'self'",
            )
        )


def inline_hashes(page: str) -> list[str]:
    """Of the scripts that the page itself holds."""
    return [b64encode(sha256(script.encode()).digest()).decode() for script in _INLINE.findall(page)]
