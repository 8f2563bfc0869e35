"""The page of JupyterLab."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jupyterlab_server.handlers import LabHandler, NotFoundHandler

from ..chat.options import has_chat
from .browser import Policy

POLICY = "cell_gateway_lab_policy"
# Without their other half in the server they only fail.
_OF_CHAT = ("jupyterlab-chat-extension", "@jupyter-ai/persona-manager", "@jupyter-ai/router")


class LabPage(LabHandler):
    """JupyterLab's page, without the server's token: the cookie and the XSRF token do, and a script could not carry them away."""

    @property
    def content_security_policy(self) -> str:
        policy: Policy = self.settings[POLICY]
        return policy.header(self.request.host)

    def set_default_headers(self) -> None:
        super().set_default_headers()
        # Jupyter wants to know that `/files` is asked from here.
        self.set_header("Referrer-Policy", "same-origin")

    @lru_cache  # noqa: B019  as the one that it overrides; a handler lives for one request
    def get_page_config(self) -> dict[str, Any]:
        return adapted(super().get_page_config())


class MissingLabPage(LabPage, NotFoundHandler):
    """What JupyterLab shows where there is nothing."""


def adapted(config: dict[str, Any]) -> dict[str, Any]:
    """What the page tells JupyterLab, without what it must not and need not know."""
    extensions = config["federated_extensions"]
    if not has_chat():
        extensions = [extension for extension in extensions if extension["name"] not in _OF_CHAT]
    return {**config, "token": "", "federated_extensions": extensions}
