"""What all handlers of one server share: the settings, and the model's key, which nothing else in the process can see."""

from __future__ import annotations

import os
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ..agent.keys import NO_KEY
from ..config import Settings, load_settings
from ..errors import BadRequest
from .handover import TOKEN

if TYPE_CHECKING:
    from ..agent.model import Model
    from ..session.folder import SessionFolder
    from .turns import Turns

_SECRETS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")


@dataclass
class Context:
    """``settings["cell_gateway"]`` of the web application."""

    settings: Settings
    _keys: dict[str, str] = field(repr=False)
    _base_url: str | None = None
    # Where JupyterLab shows a session's notebook, in a server that has it.
    lab_url: Callable[[SessionFolder], str] | None = None

    @classmethod
    def take(cls, environ: MutableMapping[str, str] = os.environ) -> Context:
        """The settings, and the model's key taken **out of** the environment, so that no child of this process ever gets it.

        Before it a command that serves calls `hand_over`, since ``/proc/<pid>/environ`` shows what a process began with.
        """
        keys = {name: value for name in _SECRETS if (value := environ.pop(name, ""))}
        environ.pop(TOKEN, None)
        return cls(load_settings(), keys, environ.get("ANTHROPIC_BASE_URL"))

    @cached_property
    def turns(self) -> Turns:
        """Where all turns of the model run."""
        from .turns import Turns

        return Turns(self.settings, self.model)

    def model(self, name: str) -> Model:
        """Raises BadRequest that names the ways on when there is no key."""
        if not self._keys and not self._base_url:
            raise BadRequest("There is no key for the model.", NO_KEY)
        # Here, since a server of somebody else's that only knows the extension pays for no SDK.
        from anthropic import AsyncAnthropic

        from ..agent.failures import model_errors
        from ..agent.model import Model
        from ..agent.pricing import price_of

        api_key, auth_token = (self._keys.get(secret) for secret in _SECRETS)
        if not self._keys:
            # A server of one's own asks for no key; the SDK does.
            api_key = "none"
        with model_errors():
            client = AsyncAnthropic(api_key=api_key, auth_token=auth_token, base_url=self._base_url)
        return Model(name, client, price=price_of(name, self.settings.prices))
