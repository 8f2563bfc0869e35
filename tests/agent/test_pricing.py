from __future__ import annotations

import pytest

from kernel_gateway.agent.pricing import PRICES, Budget, Price, Usage, cost_of, price_of, require_price
from kernel_gateway.errors import BadRequest

RAW = {
    "input_tokens": 1_000_000,
    "output_tokens": 100_000,
    "cache_read_input_tokens": 2_000_000,
    "cache_creation_input_tokens": 400_000,
    "cache_creation": {"ephemeral_5m_input_tokens": 300_000, "ephemeral_1h_input_tokens": 100_000},
}


def test_the_cost_counts_each_kind_of_token_at_its_own_price() -> None:
    price = Price(input=4, output=20, cache_read=0.2, cache_write=5, cache_write_1h=8)
    assert cost_of(Usage.from_json(RAW), price) == pytest.approx(4 + 2 + 0.4 + 1.5 + 0.8)


def test_a_dated_name_has_the_price_of_its_model() -> None:
    assert price_of("claude-opus-4-5-20251101") == PRICES["claude-opus-4-5"]


def test_an_unknown_model_has_no_price_and_no_cost() -> None:
    assert price_of("llama-9") is None
    assert cost_of(Usage.from_json(RAW), None) is None


def test_a_configured_price_wins() -> None:
    price = price_of("claude-opus-4-5", {"claude-opus-4-5": {"input": 1, "output": 2}})
    assert price is not None and (price.input, price.output) == (1, 2)


def test_a_configured_price_without_output_is_refused() -> None:
    with pytest.raises(BadRequest, match="not whole"):
        price_of("mine", {"mine": {"input": 1}})


def test_a_missing_price_is_told_with_the_line_to_write() -> None:
    with pytest.raises(BadRequest) as error:
        require_price("llama-9", None)
    assert "prices" in error.value.next_step and '"llama-9"' in error.value.next_step


def test_long_prompts_cost_more_where_the_model_says_so() -> None:
    price = PRICES["claude-haiku-5-5"]
    short = cost_of(Usage(input=100_000), price)
    long = cost_of(Usage(input=60_000, cache_read=60_000), price)
    assert short == pytest.approx(0.01)
    assert long == pytest.approx(0.03 + 0.003)


def test_compaction_is_outside_the_sums_and_is_paid_for() -> None:
    raw = {
        "input_tokens": 10,
        "output_tokens": 1,
        "iterations": [{"type": "compaction", "input_tokens": 1_000_000, "output_tokens": 0}],
    }
    usage = Usage.from_json(raw)
    assert cost_of(usage, Price(1, 1, 1, 1, 1)) == pytest.approx(1.000011)
    assert usage.to_json()["input_tokens"] == 1_000_010


def test_null_counts_are_zero() -> None:
    assert Usage.from_json({"input_tokens": 3, "output_tokens": 1, "cache_read_input_tokens": None}).cache_read == 0


def test_a_budget_says_which_limit_is_reached() -> None:
    budget = Budget(max_turns=2, max_cost=1.0)
    assert budget.exceeded(1, 0.5) is None
    assert "--max-turns" in (budget.exceeded(2, 0.5) or "")
    assert "--max-cost" in (budget.exceeded(1, 1.2) or "")
