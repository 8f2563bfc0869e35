"""The table of `attempts`, each against each engine that works here, in real sessions: supervisor, kernel, recorder."""

from __future__ import annotations

import re

import pytest

from . import scenarios
from .arena import DIED, Arena, outcome
from .attempts import ATTEMPTS, Attempt

CELLS = [a for a in ATTEMPTS if not a.scenario]
SCENARIOS = [a for a in ATTEMPTS if a.scenario]


def skip_elsewhere(attempt: Attempt, arena: Arena) -> None:
    if arena.engine not in attempt.engines:
        pytest.skip(f"says nothing about {arena.engine}")


@pytest.mark.parametrize("attempt", CELLS, ids=[f"{a.id}" for a in CELLS])
async def test_hostile_code_gains_nothing(arena: Arena, attempt: Attempt) -> None:
    skip_elsewhere(attempt, arena)
    async with arena.shared() as session:
        generation = (await session.client.hello())["generation"]
        found = await outcome(session, attempt.code)
        assert re.fullmatch(attempt.pattern(arena.engine), found, re.DOTALL), found
        # A sandbox that an attempt may end is followed by another one, and by that alone.
        assert (await session.python("print('on')")).stdout == "on\n"
        assert (await session.client.hello())["generation"] == generation + (found == DIED)


@pytest.mark.parametrize("attempt", SCENARIOS, ids=[f"{a.id}" for a in SCENARIOS])
async def test_hostile_acts_gain_nothing(arena: Arena, attempt: Attempt) -> None:
    skip_elsewhere(attempt, arena)
    await getattr(scenarios, attempt.scenario)(arena)


def test_every_attempt_of_the_list_is_in_the_table() -> None:
    assert {a.number for a in ATTEMPTS} >= set(range(1, 53))


def test_every_scenario_exists() -> None:
    assert [a.scenario for a in SCENARIOS if not hasattr(scenarios, a.scenario)] == []
