"""What a server needs to be told so that it has the chat."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

# Ours alone. The packages' own server extensions import code from the folders they serve, show hidden files, and answer a
# request by an assistant that is not ours: `ChatApp` does what is wanted of them.
CHAT_EXTENSIONS: Mapping[str, bool] = {"kernel_gateway.server.chat": True}
_PACKAGES = ("jupyterlab_chat", "jupyter_ai_persona_manager")


def has_chat() -> bool:
    """Whether the extra ``chat`` is installed."""
    return all(importlib.util.find_spec(name) is not None for name in _PACKAGES)


def chat_options() -> dict[str, dict[str, Any]]:
    """Jupyter's options by class."""
    return {"SessionContents": {"allow_hidden": False}}
