"""The demo: prepared prompts and a scripted model drive the real loop on a real session. It needs neither key nor network."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
from anthropic import AsyncAnthropic

from ..agent.listener import Listener
from ..agent.model import Model
from ..agent.pictures import Convert
from ..agent.turn import Turn, TurnResult
from ..scripted_model import ScriptedModel
from ..supervisor.client import SessionClient
from .script import MODEL, NOTICE, PROMPTS, REPLIES


async def run_demo(
    client: SessionClient,
    listener: Listener,
    *,
    system: str,
    on_prompt: Callable[[str], None] | None = None,
    convert: Convert | None = None,
) -> list[TurnResult]:
    """Take the turns of the script, one after another, and return when the last is recorded.

    ``listener`` is first told that the model is scripted, and so is the notebook; ``on_prompt`` is given each prompt before its turn.
    """
    listener.notice(NOTICE)
    await client.record("notice", text=NOTICE)
    results: list[TurnResult] = []
    async with ScriptedModel(REPLIES) as scripted, loopback_client(scripted.base_url) as sdk:
        model = Model(MODEL, sdk)
        for prompt in PROMPTS:
            if on_prompt is not None:
                on_prompt(prompt)
            results.append(await Turn(client, model, listener, system=system, convert=convert).ask(prompt))
    return results


def loopback_client(base_url: str) -> AsyncAnthropic:
    """The real SDK, without a person's key and without their proxy, which could not reach this machine's loopback."""
    return AsyncAnthropic(base_url=base_url, api_key="scripted", http_client=httpx2.AsyncClient(trust_env=False))
