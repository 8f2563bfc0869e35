"""A stopped session that is opened in passing: at once, and whoever runs the next cell knows what is not there."""

from __future__ import annotations

import pytest

from kernel_gateway.config import load_settings
from kernel_gateway.server.rest import waking
from kernel_gateway.session.lifetime import standing_of
from kernel_gateway.supervisor.client import connect
from tests.conftest import LiveSession, NewSession


async def opened(session: LiveSession) -> str:
    """What the caller of the next run is told."""
    await session.client.stop()
    await waking.open_at_once(load_settings(), session.folder)
    assert (await standing_of(session.folder)).state == "idle"
    async with connect(session.folder) as client:
        result = await client.run(session.request("print(open('kept.txt').read(), 'kept' in dir())"))
    text = result.outputs[0]["text"]
    assert text.startswith("in a file ")
    return f"{text} {result.notice}"


CELL = "kept = 'in a file'; _ = open('kept.txt', 'w').write(kept)"


async def test_a_long_replay_is_left_to_a_person(new_session: NewSession, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await new_session()
    await session.python(CELL)
    monkeypatch.setattr(waking, "OPENING_SECONDS", 0.0)
    told = await opened(session)
    assert "in a file False" in told and "Names lost: kept" in told and "resume it with its replay" in told


SLOW_NOW = "import os, time; s = '/home/user/seen'; time.sleep(60) if os.path.exists(s) else open(s, 'w').close()"


async def test_one_that_is_long_only_now_is_broken_off(
    new_session: NewSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await new_session()
    await session.python(CELL)
    await session.python(SLOW_NOW)
    monkeypatch.setattr(waking, "OPENING_LIMIT", 2.0)
    told = await opened(session)
    assert "in a file False" in told and "broken off after 2 s" in told
