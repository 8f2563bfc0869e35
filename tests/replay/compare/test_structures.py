"""JSON, SVG and texts."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.replay.compare import structure, text, vector
from kernel_gateway.replay.compare.model import Options, Unreadable

OPTIONS = Options()
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg"><metadata><date>{date}</date></metadata><defs><clipPath id="{id}"><rect/></clipPath></defs>'
    '<path clip-path="url(#{id})" d="M 1 2 L {x} 4"/><text>{title}</text></svg>'
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


def svg(**changes: str) -> str:
    return SVG.format(**{"date": "1", "id": "p1", "x": "3", "title": "Sales", **changes})


def test_dates_and_random_ids_of_an_svg_are_no_difference() -> None:
    assert vector.compare(svg(), svg(date="2", id="p99"), OPTIONS).verdict == "same"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"x": "3.5"}, "path d, point 2: M 1 2 L 3 4 → M 1 2 L 3.5 4"), ({"title": "Salas"}, "text text: Sales → Salas")],
)
def test_a_point_or_a_letter_of_an_svg_is_found(changes: dict[str, str], reason: str) -> None:
    assert vector.compare(svg(), svg(**changes), OPTIONS).reason == reason


def test_what_an_id_refers_to_counts() -> None:
    twice = '<svg><g id="a"/><g id="b"/><use href="#{}"/></svg>'
    assert vector.compare(twice.format("a"), twice.format("b"), OPTIONS).verdict == "differs"


def test_entities_are_refused() -> None:
    with pytest.raises(Unreadable, match="entities"):
        vector.words(b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>')


@given(VALUES)
def test_a_value_is_the_same_as_its_copy(value: Any) -> None:
    assert structure.compare(value, copy.deepcopy(value), OPTIONS).verdict == "same"


@given(VALUES, VALUES)
def test_two_values_are_the_same_only_when_they_are_equal_and_of_one_type(one: Any, another: Any) -> None:
    verdict = structure.compare(one, another, OPTIONS).verdict
    assert (verdict == "same") == (structure.canonical(one) == structure.canonical(another))


def test_a_value_is_named_by_its_path() -> None:
    one = {"data": [{"y": [1.0, 2.5]}]}
    assert structure.compare(one, {"data": [{"y": [1.0, 2.6]}]}, OPTIONS).reason == "data[0].y[1]: 2.5 → 2.6"


def test_true_is_not_one() -> None:
    assert structure.compare({"a": True}, {"a": 1}, OPTIONS).verdict == "differs"


def test_random_ids_are_ignored_only_where_that_is_asked_for() -> None:
    assert structure.compare({"uid": "a"}, {"uid": "b"}, OPTIONS, structure.RANDOM_KEYS).verdict == "same"
    assert structure.compare({"uid": "a"}, {"uid": "b"}, OPTIONS).verdict == "differs"


LINES = st.lists(st.text(alphabet="ab 019.", max_size=6), max_size=8)


@given(LINES, LINES)
def test_two_texts_are_the_same_only_when_they_are_equal(one: list[str], another: list[str]) -> None:
    a, b = "\n".join(one), "\n".join(another)
    assert (text.compare(a, b, OPTIONS).verdict == "same") == (a == b)


def test_a_line_that_is_new_is_named() -> None:
    assert text.compare("a\nc\n", "a\nb\nc\n", OPTIONS).reason == "line 2 is new: b"


def test_a_line_that_differs_is_shown_with_what_stands_around_it() -> None:
    excerpt = text.compare("a\nb 1\nc\n", "a\nb 2\nc\n", OPTIONS).excerpt
    assert excerpt is not None
    assert excerpt.rows == (("1", (("a", "a"),)), ("2", (("b 1", "b 2"),)), ("3", (("c", "c"),)))
