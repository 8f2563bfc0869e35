"""Rounding is close; a changed digit of a number as people write them is a difference."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kernel_gateway.replay.compare.model import Options
from kernel_gateway.replay.compare.numbers import compare_values, compare_words, compare_written

OPTIONS = Options()


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ("9.99", "9.99", "same"),
        ("9.99", "10.99", "differs"),
        ("0.3", "0.30000000000000004", "close"),
        ("1.4142135623730951", "1.4142135623730949", "close"),
        ("1.4142135623730951", "1.4142135623730951e1", "differs"),
        ("10000000000000001", "10000000000000002", "differs"),
        ("12345678901.25", "12345678901.26", "differs"),
        ("1.50", "1.5", "differs"),
        ("1", "1.0", "differs"),
        ("1e-17", "2e-17", "differs"),
        ("1e999999999", "2e999999999", "differs"),
        ("0e1234", "0e5678", "differs"),
    ],
)
def test_two_written_numbers(before: str, after: str, verdict: str) -> None:
    assert compare_written(before, after, OPTIONS) == verdict


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**8), max_value=10**8), st.data())
def test_one_changed_digit_is_always_a_difference(number: object, data: st.DataObject) -> None:
    text = f"total {number} of 20"
    at = data.draw(st.sampled_from([i for i, c in enumerate(text) if c.isdigit()]))
    digit = data.draw(st.sampled_from([d for d in "0123456789" if d != text[at]]))
    assert compare_words(text, text[:at] + digit + text[at + 1 :], OPTIONS) == "differs"


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-200, max_value=1e200))
def test_the_last_bit_of_a_float_is_never_more_than_close(value: float) -> None:
    import math

    after = math.nextafter(value, math.inf)
    assume(len(repr(value).split("e")[0]) > 17 or len(repr(after).split("e")[0]) > 17)
    assert compare_values(value, after, OPTIONS) == "close"


@pytest.mark.parametrize(("before", "after"), [(1, 1.0), (True, 1), ("1", 1), (None, 0), (0.0, -1e-300), (-0.5, 0.5)])
def test_values_of_another_type_or_sign_differ(before: object, after: object) -> None:
    assert compare_values(before, after, OPTIONS) == "differs"


def test_columns_that_move_with_the_length_of_a_close_number_are_close() -> None:
    assert compare_words("a   0.3                  x", "a   0.30000000000000004  x", OPTIONS) == "close"
    assert compare_words("a  1", "a   1", OPTIONS) == "differs"


def test_a_wider_tolerance_is_an_option() -> None:
    wide = Options(relative=1e-3, digits=0)
    assert compare_words("loss 0.12341", "loss 0.12342", wide) == "close"
    assert compare_words("loss 0.12341", "loss 0.22342", wide) == "differs"
