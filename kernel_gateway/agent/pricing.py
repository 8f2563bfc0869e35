"""What a reply costs, in US dollars, where the price is known; otherwise None, never a guess."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import BadRequest

MILLION = 1_000_000


@dataclass(frozen=True)
class Price:
    """US dollars a million tokens. ``cache_write`` is the five-minute rate; an hour costs ``cache_write_1h``."""

    input: float
    output: float
    cache_read: float
    cache_write: float
    cache_write_1h: float
    # Prompts (cached tokens included) above so many tokens are charged by the second price as a whole.
    above: tuple[int, Price] | None = None


def anthropic_price(input: float, output: float, read: float = 0.1, above: tuple[int, Price] | None = None) -> Price:
    """Anthropic writes caches at 1.25 and 2 times the input price, and reads them at ``read`` times it."""
    return Price(input, output, input * read, input * 1.25, input * 2, above)


# From platform.claude.com/docs/en/about-claude/pricing, November 2026.
PRICES: Mapping[str, Price] = {
    "claude-fable-5-1": anthropic_price(10, 50, read=0.025),
    "claude-fable-5": anthropic_price(10, 50),
    "claude-opus-5-5": anthropic_price(4, 20, read=0.05),
    "claude-opus-5": anthropic_price(5, 25),
    "claude-opus-4-8": anthropic_price(5, 25),
    "claude-opus-4-7": anthropic_price(5, 25),
    "claude-opus-4-6": anthropic_price(5, 25),
    "claude-opus-4-5": anthropic_price(5, 25),
    "claude-sonnet-5-5": anthropic_price(2, 10, read=0.05),
    "claude-sonnet-5": anthropic_price(2, 10),
    "claude-sonnet-4-6": anthropic_price(3, 15),
    "claude-sonnet-4-5": anthropic_price(3, 15),
    "claude-haiku-5-5": anthropic_price(0.1, 0.5, above=(100_000, anthropic_price(0.5, 2.5))),
    "claude-haiku-4-5": anthropic_price(1, 5),
}

_DATE = re.compile(r"-20\d{6}$")


def price_of(model: str, configured: Mapping[str, Mapping[str, float]] | None = None) -> Price | None:
    """The configured price, else the built-in one of exactly that model (a date at its end ignored), else None.

    Raises BadRequest when the configured price lacks ``input`` or ``output``.
    """
    if configured and model in configured:
        return _configured(model, configured[model])
    return PRICES.get(_DATE.sub("", model))


def _configured(model: str, values: Mapping[str, float]) -> Price:
    try:
        entry, output = float(values["input"]), float(values["output"])
        read, write = float(values.get("cache_read", entry)), float(values.get("cache_write", entry))
        return Price(entry, output, read, write, float(values.get("cache_write_1h", write)))
    except (KeyError, TypeError, ValueError):
        raise BadRequest(f"The price of {model} in the configuration is not whole.", _how_to_set(model)) from None


def require_price(model: str, price: Price | None) -> None:
    """Raises BadRequest when a budget in dollars cannot be kept because no price is known."""
    if price is None:
        raise BadRequest(
            f"No price is known for the model {model!r}, so --max-cost cannot be kept.", _how_to_set(model)
        )


def _how_to_set(model: str) -> str:
    example = "{ input = 3.0, output = 15.0, cache_read = 0.3, cache_write = 3.75 }"
    return f'Set it in config.toml, in dollars a million tokens: [prices] "{model}" = {example}'


@dataclass
class Usage:
    """Tokens of one or more replies. ``input`` counts what was neither read from nor written to the cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    # The part of `cache_write` that is kept for an hour.
    cache_write_1h: int = 0
    # Tokens of each iteration that the top-level sums leave out (compaction).
    extra: list[Usage] = field(default_factory=list["Usage"])

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Usage:
        """One reply's ``usage``, as it stands after the last ``message_delta``."""
        names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        entry, output, read, write = (_count(raw, name) for name in names)
        usage = cls(entry, output, read, write)
        usage.cache_write_1h = _count(raw.get("cache_creation") or {}, "ephemeral_1h_input_tokens")
        iterations = raw.get("iterations") or []
        usage.extra = [cls.from_json(i) for i in iterations if i.get("type") == "compaction"]
        return usage

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input + other.input,
            self.output + other.output,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.cache_write_1h + other.cache_write_1h,
            self.extra + other.extra,
        )

    def to_json(self) -> dict[str, int]:
        """In the API's own names; iterations outside the sums are added in."""
        whole = sum(self.extra, Usage(self.input, self.output, self.cache_read, self.cache_write))
        return {
            "input_tokens": whole.input,
            "output_tokens": whole.output,
            "cache_read_input_tokens": whole.cache_read,
            "cache_creation_input_tokens": whole.cache_write,
        }


def _count(raw: Mapping[str, Any], name: str) -> int:
    value = raw.get(name)
    return value if isinstance(value, int) else 0


def cost_of(usage: Usage, price: Price | None) -> float | None:
    """US dollars of one reply. Ask reply by reply: where prices have two levels the size of each prompt decides."""
    if price is None:
        return None
    prompt = usage.input + usage.cache_read + usage.cache_write
    if price.above and prompt > price.above[0]:
        price = price.above[1]
    short = usage.cache_write - usage.cache_write_1h
    dollars = (
        usage.input * price.input
        + usage.output * price.output
        + usage.cache_read * price.cache_read
        + short * price.cache_write
        + usage.cache_write_1h * price.cache_write_1h
    ) / MILLION
    return dollars + sum(cost_of(extra, price) or 0.0 for extra in usage.extra)


@dataclass(frozen=True)
class Budget:
    """Limits of one prompt: model calls, and US dollars (None: no limit)."""

    max_turns: int = 50
    max_cost: float | None = None

    def exceeded(self, calls: int, cost: float | None) -> str | None:
        """Why no further model call may be made, or None."""
        if calls >= self.max_turns:
            return f"The limit of {self.max_turns} model calls for one prompt is reached (--max-turns)."
        if self.max_cost is not None and cost is not None and cost >= self.max_cost:
            return f"The limit of ${self.max_cost:.2f} for one prompt is reached (--max-cost): ${cost:.4f} spent."
        return None


def shown_cost(usage: Usage, cost: float | None) -> str:
    """For a person: the tokens, and US dollars where the price is known."""
    tokens = usage.to_json()
    cached = tokens["cache_read_input_tokens"]
    read_in = tokens["input_tokens"] + cached + tokens["cache_creation_input_tokens"]
    price = "cost unknown" if cost is None else f"${cost:.4f}"
    return f"{read_in:,} tokens in ({cached:,} cached), {tokens['output_tokens']:,} out, {price}"
