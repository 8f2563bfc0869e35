"""The model: a name, the real anthropic SDK, and what may be asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anthropic
from anthropic import AsyncAnthropic

from ..errors import BadRequest
from .failures import model_errors
from .listener import Listener
from .pricing import Price, price_of
from .reply import Assembly

# Asked for when the model allows it: long cells fit, and a reply cannot run for an hour.
MAX_TOKENS = 32_000
NO_KEY = (
    "Either set ANTHROPIC_API_KEY; or set ANTHROPIC_BASE_URL to a server of your own that speaks the Messages API (llama.cpp, "
    "vLLM, Ollama, LiteLLM), with any key; or see it work without a key: cell-gateway demo"
)


@dataclass
class Model:
    """``client`` is the SDK's own, so that base URL, key, proxies and retries are what its users know."""

    name: str
    client: AsyncAnthropic
    max_tokens: int = 16_000
    thinking: dict[str, Any] | None = None
    price: Price | None = None
    # Seconds before a reply that broke off is asked for again; as many times as there are entries.
    backoff: Sequence[float] = (1.0, 5.0)

    @classmethod
    def connect(
        cls,
        name: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        prices: Mapping[str, Mapping[str, float]] | None = None,
    ) -> Model:
        """From arguments, else from the environment exactly as the SDK reads it. Raises BadRequest when there is no key."""
        with model_errors():
            client = AsyncAnthropic(base_url=base_url, api_key=api_key)
        if client.api_key is None and client.auth_token is None and client.credentials is None:
            raise BadRequest("There is no key for the model.", NO_KEY)
        return cls(name, client, price=price_of(name, prices))

    async def learn(self) -> None:
        """Ask the service what the model can do; one that does not say (most local servers) is used with careful defaults.

        Where thinking adapts by itself, its summary is asked for: newer models put the words between tool calls there.
        """
        try:
            info = (await self.client.models.retrieve(self.name, timeout=10.0)).to_dict(mode="json", warnings=False)
        except anthropic.AnthropicError:
            return
        limit = info.get("max_tokens")
        if isinstance(limit, int) and limit > 0:
            self.max_tokens = min(limit, MAX_TOKENS)
        if _supports(info, "capabilities", "thinking", "types", "adaptive"):
            self.thinking = {"type": "adaptive", "display": "summarized"}

    async def stream(self, body: dict[str, Any], assembly: Assembly, listener: Listener) -> None:
        """Ask once, filling ``assembly``. Raises ModelFailure; then, and when cancelled, ``assembly`` holds what came before."""
        with model_errors():
            manager = self.client.messages.stream(**body)
            stream = await manager.__aenter__()
        try:
            events = stream.__aiter__()
            while True:
                with model_errors():
                    event: Any = await anext(events, None)
                if event is None:
                    return
                _take(event, assembly, stream.request_id, listener)
        finally:
            await stream.close()

    async def close(self) -> None:
        await self.client.close()


def _supports(value: Any, *path: str) -> bool:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return isinstance(value, dict) and value.get("supported") is True


def _take(event: Any, assembly: Assembly, request_id: str | None, listener: Listener) -> None:
    """One event; those that the SDK derives from others (text, thinking, input_json …) are passed over."""
    match event.type:
        case "message_start":
            assembly.start_message(_raw(event.message), request_id)
        case "content_block_start":
            block = _raw(event.content_block)
            assembly.start_block(event.index, block)
            if event.index > 0 and block.get("type") == "text":
                # Blocks are paragraphs of their own in the notebook too.
                listener.text("\n\n")
        case "content_block_delta":
            delta = _raw(event.delta)
            assembly.add_delta(event.index, delta)
            if delta.get("type") == "text_delta":
                listener.text(str(delta.get("text", "")))
            elif delta.get("type") == "thinking_delta":
                listener.thinking(str(delta.get("thinking", "")))
        case "content_block_stop":
            assembly.stop_block(event.index)
        case "message_delta":
            assembly.end_message(_raw(event.delta), _raw(event.usage))
        case _:
            pass


def _raw(part: Any) -> dict[str, Any]:
    """As it came: unset fields stay absent, unknown ones and unknown types stay."""
    return part if isinstance(part, dict) else part.to_dict(mode="json", warnings=False)
