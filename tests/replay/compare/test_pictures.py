"""Pictures: by pixels, with a bound that is small, and a picture of the difference."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kernel_gateway.replay.compare import pictures
from kernel_gateway.replay.compare.model import Options, Unreadable

OPTIONS = Options()


def png(
    change: Callable[[Image.Image], None] | None = None,
    size: tuple[int, int] = (60, 40),
    mode: str = "RGB",
    **save: object,
) -> bytes:
    image = Image.new("RGB", size, "white")
    image.paste("blue", (10, 10, 30, 20))
    if change:
        change(image)
    image = image.convert(mode)
    out = io.BytesIO()
    image.save(out, "PNG", **save)  # type: ignore[arg-type]
    return out.getvalue()


def test_other_bytes_with_the_same_pixels_are_the_same() -> None:
    info = PngInfo()
    info.add_text("Software", "another version")
    assert pictures.compare(png(), png(pnginfo=info, compress_level=1), OPTIONS).verdict == "same"
    assert pictures.compare(png(), png(mode="P"), OPTIONS).verdict == "same"


@given(st.integers(0, 59), st.integers(0, 39))
def test_one_pixel_is_found_wherever_it_is(x: int, y: int) -> None:
    found = pictures.compare(png(), png(lambda i: i.putpixel((x, y), (0, 200, 0))), Options(draw=False))
    assert found.verdict == "differs"
    assert f"1 × 1 at ({x}, {y})" in found.reason


def test_a_colour_off_by_two_levels_is_close_and_says_so() -> None:
    found = pictures.compare(png(), png(lambda i: i.paste((0, 0, 253), (10, 10, 30, 20))), OPTIONS)
    assert found.verdict == "close"
    assert found.reason == "8.33 % of the pixels, by at most 2 levels of 255"
    assert found.picture is not None


def test_another_size_differs_and_is_drawn_to_one_scale() -> None:
    found = pictures.compare(png(), png(size=(66, 40)), OPTIONS)
    assert found.reason == "size 60 × 40 → 66 × 40 pixels, drawn to one scale"
    assert found.picture is not None
    assert Image.open(io.BytesIO(found.picture)).size == (60, 40)


def test_the_picture_of_the_difference_marks_what_differs() -> None:
    found = pictures.compare(png(), png(lambda i: i.putpixel((50, 30), (0, 0, 0))), OPTIONS)
    assert found.picture is not None
    assert Image.open(io.BytesIO(found.picture)).convert("RGB").getpixel((50, 30)) == (214, 0, 106)


def test_one_pixel_of_a_large_picture_shows_in_the_small_one() -> None:
    found = pictures.compare(
        png(size=(3000, 1000)), png(lambda i: i.putpixel((2990, 990), (0, 0, 0)), size=(3000, 1000)), OPTIONS
    )
    assert found.picture is not None
    drawn = Image.open(io.BytesIO(found.picture)).convert("RGB")
    assert drawn.size == (1000, 334)
    assert drawn.getpixel((996, 330)) == (214, 0, 106)


def test_sixteen_bits_are_compared_as_they_are() -> None:
    def grey(value: int) -> bytes:
        out = io.BytesIO()
        Image.new("I;16", (8, 8), value).save(out, "PNG")
        return out.getvalue()

    assert pictures.compare(grey(30_000), grey(30_001), Options(levels=0, draw=False)).verdict == "differs"


def test_each_frame_of_an_animation_counts() -> None:
    def gif(last: str) -> bytes:
        frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", last)]
        out = io.BytesIO()
        frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
        return out.getvalue()

    assert pictures.compare(gif("blue"), gif("blue") + b"", OPTIONS).verdict == "same"
    assert pictures.compare(gif("blue"), gif("black"), OPTIONS).reason.startswith("frame 3: ")


def test_what_is_no_picture_cannot_be_read() -> None:
    with pytest.raises(Unreadable):
        pictures.compare(png(), b"\x89PNG\r\n\x1a\nnothing", OPTIONS)
