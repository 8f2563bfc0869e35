from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kernel_gateway.terminal import RESET, LineCleaner, clean_text, escape_name, safe_style

HOSTILE = st.text(
    st.one_of(
        st.sampled_from("\x1b[]m;:01389\r\n\t\x07\x08\x9b\x90\u202e\u2028abc\ud800é漢"),
        st.characters(),
    ),
    max_size=80,
)
ALLOWED = re.compile(
    r"(?:\x1b\[[0-9;:]*m|[^\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff])*"
)


@given(HOSTILE)
@example("\x1b]52;c;aGk=\x07")
@example("\x1b\x1b[31mx")
def test_only_colours_pass(text: str) -> None:
    assert ALLOWED.fullmatch(clean_text(text))


@given(HOSTILE)
def test_without_colour_no_escape_passes(text: str) -> None:
    assert "\x1b" not in clean_text(text, colour=False)


@given(HOSTILE)
def test_a_cleaned_text_is_clean(text: str) -> None:
    once = clean_text(text)
    assert clean_text(once) == once


@given(HOSTILE, st.integers(0, 80), st.integers(0, 80))
def test_where_a_stream_is_cut_makes_no_difference(text: str, first: int, second: int) -> None:
    cleaner = LineCleaner()
    pieces = [text[:first], text[first : first + second], text[first + second :]]
    assert "".join(cleaner.feed(p) for p in pieces) + cleaner.close() == clean_text(text)


@given(st.text(st.sampled_from("ab\r\nxyz"), max_size=60))
def test_carriage_returns_overwrite_as_a_terminal_does(text: str) -> None:
    assert clean_text(text) == "\n".join(_overwritten(line) for line in text.split("\n"))


def _overwritten(line: str) -> str:
    shown = ""
    for piece in line.split("\r"):
        shown = piece + shown[len(piece) :]
    return shown


@given(HOSTILE)
def test_names_stay_on_their_line_without_any_escape(name: str) -> None:
    assert re.fullmatch(r"[^\x00-\x1f\x7f-\x9f\u202e\u2028\ud800-\udfff]*", escape_name(name))


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=40).filter(lambda t: "\\" not in t))
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert clean_text(text) == escape_name(text) == text


@pytest.mark.parametrize(
    ("sequence", "kept"),
    [
        ("\x1b[31m", "\x1b[31m"),
        ("\x1b[1;38;5;8m", "\x1b[1;38;5;8m"),
        ("\x1b[38;2;1;2;3m", "\x1b[38;2;1;2;3m"),
        ("\x1b[8m", ""),
        ("\x1b[5;31m", "\x1b[31m"),
        ("\x1b[38;5m", ""),
        ("\x1b[38;2;999;0;0m", ""),
        ("\x1b[m", RESET),
    ],
)
def test_styles_that_hide_or_blink_are_dropped(sequence: str, kept: str) -> None:
    assert safe_style(sequence) == kept


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x1b]8;;file:///etc\x1b\\", "\\x1b]8;;file:///etc\\x1b\\"),
        ("\x9b2J\x90", "\\x9b2J\\x90"),
        ("\u202egnp", "\\u202egnp"),
        ("10%\r20%\r100%\n", "100%\n"),
        ("\x1b[31mred", f"\x1b[31mred{RESET}"),
        ("a\x1b[1m", "a"),
    ],
)
def test_examples(raw: str, shown: str) -> None:
    assert clean_text(raw) == shown


def test_a_progress_line_is_shown_as_it_stands() -> None:
    cleaner = LineCleaner()
    assert cleaner.feed("10%\r\x1b[32m2") == ""
    assert cleaner.pending() == f"\x1b[32m2{RESET}0%"
    assert cleaner.feed("5\n") == f"\x1b[32m25{RESET}%\n"


def test_a_line_without_end_is_passed_on_in_pieces() -> None:
    cleaner = LineCleaner()
    out = "".join(cleaner.feed("x" * 1000) for _ in range(1000))
    assert len(out) > 900_000
    assert len(out + cleaner.close()) == 1_000_000
