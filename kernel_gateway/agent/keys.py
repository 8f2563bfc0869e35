"""Whether there is a model to ask, found out before anything slow is imported or made."""

from __future__ import annotations

import os

from ..errors import BadRequest

KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")
NO_KEY = """\
There are three ways on:
  export ANTHROPIC_API_KEY=…               a key of your own
  export ANTHROPIC_BASE_URL=http://…       a server that speaks the Messages API: llama.cpp, vLLM, Ollama, LiteLLM
  cell-gateway demo                        no key at all: a scripted model, everything else real"""


def found_keys() -> list[str]:
    return [name for name in KEYS if os.environ.get(name)]


def require_key() -> None:
    """Raises BadRequest that names the three ways on."""
    if not found_keys():
        raise BadRequest("There is no key for the model.", NO_KEY)


def stand_in_key() -> str | None:
    """What the SDK is given where only a server of one's own is named: that asks for no key, the SDK does."""
    return "none" if found_keys() == ["ANTHROPIC_BASE_URL"] else None
