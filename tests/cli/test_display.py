from __future__ import annotations

import base64
import io
import struct

import pytest

from kernel_gateway.cli.display import Display, Stream, Words
from kernel_gateway.cli.pictures import MAX_INLINE_PIXELS, inline, picture_of
from kernel_gateway.terminal import LineCleaner


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height) + bytes(20)


class Screen:
    """Two streams that write to one place, as on a terminal, or to two."""

    def __init__(self, *, live: bool) -> None:
        self.out = io.StringIO()
        self.err = self.out if live else io.StringIO()
        self.display = Display(
            Stream(self.out, live, LineCleaner(colour=live)), Stream(self.err, live, LineCleaner(colour=live))
        )

    def stream(self, text: str, name: str = "stdout") -> None:
        self.display.outputs([{"output_type": "stream", "name": name, "text": text}])

    def show(self, **data: str) -> None:
        self.display.outputs(
            [{"output_type": "display_data", "data": {k.replace("_", "/"): v for k, v in data.items()}}]
        )


def test_into_a_pipe_the_bytes_of_stdout_are_exact() -> None:
    screen = Screen(live=False)
    for text in ("a", "b\nc", "d"):
        screen.stream(text)
    screen.display.end()
    assert screen.out.getvalue() == "ab\ncd"


def test_on_a_terminal_an_unfinished_line_is_drawn_over() -> None:
    screen = Screen(live=True)
    screen.stream("10%")
    screen.stream("\r20%")
    screen.display.end()
    assert screen.out.getvalue() == "10%\r\x1b[K20%\r\x1b[K20%\n"


def test_the_other_stream_begins_a_line_of_its_own() -> None:
    screen = Screen(live=True)
    screen.stream("out")
    screen.stream("err\n", "stderr")
    assert screen.out.getvalue().replace("\r\x1b[K", "|") == "out|out\nerr\n"


def test_a_value_begins_a_line_of_its_own() -> None:
    screen = Screen(live=False)
    screen.stream("no newline")
    screen.show(text_plain="42")
    screen.display.end()
    assert screen.out.getvalue() == "no newline\n42\n"


def test_a_colour_that_stays_open_ends_with_the_cell() -> None:
    screen = Screen(live=True)
    screen.stream("\x1b[31mred")
    screen.display.end()
    assert screen.out.getvalue().endswith("\x1b[31mred\x1b[0m\n")


def test_a_colour_that_stays_open_after_its_line_adds_no_line() -> None:
    screen = Screen(live=True)
    screen.stream("\x1b[31mred\n\x1b[39m")
    screen.show(text_plain="42")
    screen.display.end()
    assert screen.out.getvalue().replace("\x1b[0m", "") == "\x1b[31mred\n\x1b[31m\x1b[39m42\n"


def test_a_display_that_is_updated_is_shown_as_it_ended() -> None:
    screen = Screen(live=False)
    for text in ("1/3", "2/3", "3/3"):
        update = {"output_type": "update_display_data", "data": {"text/plain": text}, "transient": {"display_id": "x"}}
        screen.display.outputs([update])
    screen.display.end()
    assert screen.out.getvalue() == "3/3\n"


def test_what_has_no_text_is_named() -> None:
    screen = Screen(live=False)
    screen.show(text_html="<b>x</b>")
    assert screen.err.getvalue() == "[text/html: see the notebook]\n"


def test_a_picture_is_noted_with_its_cell() -> None:
    screen = Screen(live=False)
    screen.display.begin("cell-7")
    screen.show(image_png=base64.b64encode(png(1, 1)).decode(), text_plain="<Figure>")
    assert screen.display.pictured == ["cell-7"]
    assert screen.err.getvalue() == "[picture, 44 bytes]\n"


@pytest.mark.parametrize(
    ("environment", "start"),
    [
        ({"TERM": "xterm-kitty"}, "\x1b_Gf=100,a=T,m=0;"),
        ({"TERM_PROGRAM": "iTerm.app"}, "\x1b]1337;File=inline=1;"),
        ({"TERM_PROGRAM": "WezTerm"}, "\x1b]1337;File=inline=1;"),
    ],
)
def test_terminals_that_are_known_to_draw_pictures_do(environment: dict[str, str], start: str) -> None:
    assert inline(png(2, 2), environment).startswith(start)


@pytest.mark.parametrize("environment", [{"TERM": "xterm-256color"}, {"TERM": "xterm-kitty", "TMUX": "1"}, {}])
def test_other_terminals_get_no_sequence(environment: dict[str, str]) -> None:
    assert inline(png(2, 2), environment) == ""


def test_a_long_picture_goes_to_kitty_in_pieces() -> None:
    parts = inline(png(2, 2) + bytes(10_000), {"TERM": "xterm-kitty"}).split("\x1b\\")
    assert [p[:10] for p in parts[:-1]] == ["\x1b_Gf=100,a", "\x1b_Gm=1;AAA", "\x1b_Gm=1;AAA", "\x1b_Gm=0;AAA"]


@pytest.mark.parametrize("content", [png(MAX_INLINE_PIXELS, 2), png(0, 5), b"GIF89a", b"", png(1, 1)[:20]])
def test_bombs_and_what_is_no_png_are_not_drawn(content: bytes) -> None:
    assert inline(content, {"TERM": "xterm-kitty"}) == ""


def test_a_picture_that_cannot_be_decoded_is_empty() -> None:
    assert picture_of({"image/png": "x"}) == b""
    assert picture_of({"text/plain": "x"}) is None


def test_words_are_broken_between_words_on_a_terminal() -> None:
    screen = io.StringIO()
    words = Words(screen, 10)
    for delta in ("one tw", "o three four", " five\n\nsix"):
        words.write(delta)
    words.end()
    assert screen.getvalue() == "one two\nthree four\nfive\n\nsix\n"


def test_words_into_a_pipe_are_as_they_came() -> None:
    screen = io.StringIO()
    words = Words(screen, None)
    words.write("a long line without any break\x1b[31m")
    words.end()
    assert screen.getvalue() == "a long line without any break\n"
