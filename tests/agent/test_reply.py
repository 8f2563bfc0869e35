"""A reply put together from its events."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.agent.reply import Assembly, storable
from kernel_gateway.journal import decode, encode


def test_usage_of_the_end_replaces_and_does_not_add() -> None:
    assembly = Assembly()
    assembly.start_message(
        {"id": "m", "usage": {"input_tokens": 5, "output_tokens": 1, "service_tier": "standard"}}, None
    )
    assembly.end_message(
        {"stop_reason": "end_turn"}, {"input_tokens": 9, "output_tokens": 40, "cache_read_input_tokens": None}
    )
    assert assembly.reply.usage == {"input_tokens": 9, "output_tokens": 40, "service_tier": "standard"}


def test_a_delta_that_nobody_knows_lengthens_its_field() -> None:
    assembly = Assembly()
    assembly.start_block(0, {"type": "compaction", "content": ""})
    for piece in ("summary ", "goes on"):
        assembly.add_delta(0, {"type": "compaction_delta", "content": piece})
    assembly.stop_block(0)
    assert assembly.reply.blocks == [{"type": "compaction", "content": "summary goes on"}]


def test_citations_are_collected() -> None:
    assembly = Assembly()
    assembly.start_block(0, {"type": "text", "text": "", "citations": None})
    assembly.add_delta(0, {"type": "citations_delta", "citation": {"cited_text": "a"}})
    assembly.stop_block(0)
    assert assembly.reply.blocks[0]["citations"] == [{"cited_text": "a"}]


def test_a_call_that_is_closed_with_half_its_input_is_half() -> None:
    assembly = Assembly()
    assembly.start_block(0, {"type": "tool_use", "id": "c", "name": "python", "input": {}})
    assembly.add_delta(0, {"type": "input_json_delta", "partial_json": '{"code": "prin'})
    assembly.stop_block(0)
    assembly.end_message({"stop_reason": "tool_use"}, {})
    assert assembly.reply.blocks == [] and assembly.reply.half is not None
    assert not assembly.is_whole


def test_a_call_without_input_has_an_empty_one() -> None:
    assembly = Assembly()
    assembly.start_block(0, {"type": "tool_use", "id": "c", "name": "restart_kernel", "input": {}})
    assembly.stop_block(0)
    assert assembly.reply.tool_uses[0]["input"] == {}


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec=None)),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(st.characters(codec=None)), children, max_size=3)
    ),
    max_leaves=8,
)


@given(_json)
def test_whatever_a_model_sends_can_be_recorded_and_sent_back(value: object) -> None:
    kept = storable(value)
    json.dumps(kept, ensure_ascii=False).encode()
    record = decode(encode({"seq": 0, "value": kept}))
    assert record is not None and record["value"] == kept
