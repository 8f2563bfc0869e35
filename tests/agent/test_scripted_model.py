"""The scripted server is as strict as the real one, and speaks to the real SDK."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from kernel_gateway.agent.model import Model
from kernel_gateway.agent.pictures import image_block
from kernel_gateway.demo.run import loopback_client
from kernel_gateway.scripted_checks import Refused, check_request
from kernel_gateway.scripted_model import Scripted, ScriptedModel, scripted_model_in_thread, text, thinking, tool_use

from .test_pictures import png

TOOL = {"name": "python", "input_schema": {"type": "object"}}


def body(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 10, "tools": [TOOL], "messages": list(messages), **fields}


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def said(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def result(call: str, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call, "content": "ok", **fields}


HI, CALL = user(text("hi")), said(tool_use("c", "python", code="1"))
PICTURE = image_block("image/png", png(1, 1))
REFUSED: dict[str, dict[str, Any]] = {
    "a sampling parameter": body(HI, temperature=0.5),
    "an unknown parameter": body(HI, colour="red"),
    "no tokens": body(HI, max_tokens=0),
    "five cache marks": body(user(*[{**text("x"), "cache_control": {}}] * 5)),
    "no message": body(),
    "two of one role": body(HI, HI),
    "a blank text": body(user(text(" "))),
    "an unknown block of the user": body(user({"type": "hologram"})),
    "an unknown field of the user": body(user({**text("x"), "zz": 1})),
    "a call without a result": body(HI, CALL, HI),
    "a result after words": body(HI, CALL, user(text("x"), result("c"))),
    "a stray result": body(HI, CALL, user(result("c"), result("d"))),
    "two results": body(HI, CALL, user(result("c"), result("c"))),
    "a repeated id": body(HI, CALL, user(result("c")), CALL, user(result("c"))),
    "a call without tools": {k: v for k, v in body(HI, CALL, user(result("c"))).items() if k != "tools"},
    "thinking with another signature": body(HI, said({**thinking("a"), "signature": "b"}, text("c")), HI),
    "thinking at the end": body(HI, said(thinking("a")), HI),
    "a picture in an error": body(HI, CALL, user(result("c", is_error=True) | {"content": [PICTURE]})),
    "a picture of another kind": body(user(image_block("image/jpeg", png(1, 1)))),
    "many large pictures": body(user(*[image_block("image/png", png(2001, 1))] * 21)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_refuses(what: str) -> None:
    with pytest.raises(Refused):
        check_request(REFUSED[what])


def test_it_takes_a_whole_conversation() -> None:
    answer = user(result("c", content=[text("ok"), PICTURE]), text("and?"))
    check_request(body(HI, said(thinking("hm"), *CALL["content"]), answer, said({"type": "hologram", "zz": 1}), HI))


async def test_the_sdk_gets_every_kind_of_block_as_it_was_written() -> None:
    reply = [thinking("let me see, this takes a while"), text("words " * 9), tool_use("c", "python", code="1" * 50)]
    async with (
        ScriptedModel([Scripted(reply, usage={"output_tokens": 77})]) as model,
        loopback_client(model.base_url) as sdk,
    ):
        async with sdk.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as stream:
            message = await stream.get_final_message()
        assert [b.to_dict() for b in message.content] == reply
        assert (message.stop_reason, message.usage.output_tokens) == ("tool_use", 77)


async def test_a_refused_request_takes_no_reply_of_the_script() -> None:
    async with ScriptedModel([[text("ok")]]) as model, loopback_client(model.base_url) as sdk:
        with pytest.raises(anthropic.BadRequestError, match="non-whitespace"):
            await sdk.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": " "}])
        message = await sdk.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
        assert message.content[0].to_dict() == text("ok")


async def test_by_position_the_same_request_gets_the_same_reply() -> None:
    async with (
        ScriptedModel([[text("one")], [text("two")]], by_position=True) as model,
        loopback_client(model.base_url) as sdk,
    ):
        for _ in range(2):
            message = await sdk.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
            assert message.content[0].to_dict() == text("one")


def test_it_serves_callers_that_block() -> None:
    with (
        scripted_model_in_thread([[text("ok")]]) as model,
        anthropic.Anthropic(base_url=model.base_url, api_key="x") as sdk,
    ):
        message = sdk.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
        assert message.content[0].to_dict() == text("ok")


async def test_what_the_model_can_do_is_learned_where_the_service_tells() -> None:
    told = {
        "id": "m",
        "type": "model",
        "max_tokens": 64_000,
        "capabilities": {"thinking": {"types": {"adaptive": {"supported": True}}}},
    }
    async with ScriptedModel([], capabilities=told) as service, loopback_client(service.base_url) as sdk:
        model = Model("m", sdk)
        await model.learn()
        assert (model.max_tokens, model.thinking) == (32_000, {"type": "adaptive", "display": "summarized"})
    async with ScriptedModel([]) as service, loopback_client(service.base_url) as sdk:
        model = Model("m", sdk)
        await model.learn()
        assert (model.max_tokens, model.thinking) == (16_000, None)
