"""Pictures as the model gets them. Conversion runs in a real sandbox of the real image."""

from __future__ import annotations

import asyncio
import base64
import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.agent.picture_size import Header, read_header
from kernel_gateway.agent.pictures import LONG_EDGE, Convert, Pictures, image_block, sandbox_converter
from kernel_gateway.agent.reply import Block
from kernel_gateway.image.store import Image
from kernel_gateway.sandbox.bubblewrap import BubblewrapEngine
from kernel_gateway.session.policy import Policy

SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="40" height="20" fill="red"/></svg>'


def png(width: int, height: int, fill: Callable[[int], bytes] = bytes) -> bytes:
    """A grey picture; ``fill`` gives the bytes of a row."""
    rows = b"".join(b"\0" + fill(width) for _ in range(height))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture
def convert(image: Image) -> Convert:
    return sandbox_converter(BubblewrapEngine(), image.root, Policy.default())


async def _prepared(data: bytes, convert: Convert | None = None, media_type: str = "image/png") -> Block:
    blocks, _ = await Pictures(convert).prepare([image_block(media_type, data)], "cell 3")
    return blocks[0]


def _header(block: Block) -> Header:
    header = read_header(base64.b64decode(block["source"]["data"]))
    assert header is not None
    return header


async def test_a_small_picture_is_sent_as_it_is() -> None:
    data = png(20, 10)
    assert await _prepared(data) == image_block("image/png", data)


async def test_a_wrong_media_type_is_put_right() -> None:
    assert (await _prepared(png(2, 2), media_type="image/jpeg"))["source"]["media_type"] == "image/png"


async def test_a_large_picture_is_made_smaller_in_a_sandbox(convert: Convert) -> None:
    header = _header(await _prepared(png(3136, 1000), convert))
    assert (header.media_type, header.width, header.height) == ("image/png", LONG_EDGE, 500)


async def test_a_vector_picture_is_drawn(convert: Convert) -> None:
    header = _header(await _prepared(SVG, convert, "image/svg+xml"))
    assert header.media_type == "image/png" and header.width == 2 * header.height


async def test_a_vector_picture_that_is_very_tall_fits_as_well(convert: Convert) -> None:
    tall = b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="100"><rect width="10" height="100"/></svg>'
    assert _header(await _prepared(tall, convert, "image/svg+xml")).long_edge <= LONG_EDGE


async def test_what_cannot_be_decoded_becomes_words(convert: Convert) -> None:
    broken = png(3000, 3000)[:200]
    block = await _prepared(broken, convert)
    assert block["type"] == "text" and "cell 3" in block["text"]


async def test_without_a_sandbox_a_large_picture_becomes_words() -> None:
    assert "could not be made smaller" in (await _prepared(png(3000, 10)))["text"]


async def test_a_picture_that_claims_to_be_giant_is_never_decoded() -> None:
    async def never(code: str, data: bytes) -> bytes:
        raise AssertionError("decoded")

    block = await _prepared(png(1, 1).replace(struct.pack(">II", 1, 1), struct.pack(">II", 60_000, 60_000)), never)
    assert block["type"] == "text" and "60000 x 60000" in block["text"]


async def test_each_picture_is_sent_once() -> None:
    pictures = Pictures()
    first, sent = await pictures.prepare([image_block("image/png", png(5, 5))], "cell 1")
    again, sent_again = await pictures.prepare([image_block("image/png", png(5, 5))], "cell 2")
    assert (first[0]["type"], len(sent)) == ("image", 1)
    assert (again[0]["text"], sent_again) == ("[the same picture as that of cell 1]", [])


async def test_bytes_of_no_known_kind_become_words() -> None:
    assert (await _prepared(b"BM not for the web"))["type"] == "text"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP"])
async def test_headers_of_real_files_are_read(convert: Convert, format: str) -> None:
    code = f"import sys; from PIL import Image; Image.new('RGB', (37, 21), 'red').save(sys.stdout.buffer, '{format}')"
    assert read_header(await convert(code, b"")) == Header(f"image/{format.lower()}", 37, 21)


async def test_a_lossless_webp_is_read(convert: Convert) -> None:
    code = (
        "import sys; from PIL import Image; Image.new('RGBA', (37, 21)).save(sys.stdout.buffer, 'WEBP', lossless=True)"
    )
    assert read_header(await convert(code, b"")) == Header("image/webp", 37, 21)


_starts = st.sampled_from(
    [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8X", b"RIFF\0\0\0\0WEBPVP8L", b"<svg "]
)


@given(_starts, st.binary(max_size=60))
def test_no_bytes_break_the_reader(start: bytes, rest: bytes) -> None:
    header = read_header(start + rest)
    assert header is None or header.pixels >= 0


@given(st.binary(max_size=200))
def test_no_bytes_break_the_preparation(data: bytes) -> None:
    assert asyncio.run(_prepared(data))["type"] in ("image", "text")
