"""The table of `attempts`, each against each engine that works here, in real sessions: supervisor, kernel, recorder."""

from __future__ import annotations

import re

import pytest

from . import scenarios
from .arena import Arena, outcome
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
        found = await outcome(session, attempt.code)
        assert re.fullmatch(attempt.pattern(arena.engine), found, re.DOTALL), found
        assert (await session.client.hello())["generation"] == 1


@pytest.mark.parametrize("attempt", SCENARIOS, ids=[f"{a.id}" for a in SCENARIOS])
async def test_hostile_acts_gain_nothing(arena: Arena, attempt: Attempt) -> None:
    skip_elsewhere(attempt, arena)
    await getattr(scenarios, attempt.scenario)(arena)


def test_every_attempt_of_the_list_is_in_the_table() -> None:
    assert {a.number for a in ATTEMPTS} >= set(range(1, 53))


def test_every_scenario_exists() -> None:
    assert [a.scenario for a in SCENARIOS if not hasattr(scenarios, a.scenario)] == []
