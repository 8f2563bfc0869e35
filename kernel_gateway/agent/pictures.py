"""Pictures for the model: small enough, of a kind it reads, each sent once. What is not, is made so in a throw-away sandbox."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from ..errors import GatewayError
from ..sandbox.engine import Engine
from ..session.policy import Policy
from .picture_size import SVG, Header, read_header
from .reply import Block

# What the models see at most; larger ones are made smaller by the service, after the bytes were sent.
LONG_EDGE = 1568
# The service's limit is on base64.
ENCODED_BYTES = 5 * 1024**2
# A picture that claims more is never decoded by anyone.
DECODED_PIXELS = 50_000_000
CONVERT_SECONDS = 30.0

Convert = Callable[[str, bytes], Awaitable[bytes]]


class SentPicture(TypedDict):
    """What the journal keeps beside a message, in the order of its pictures: where it came from, and the original's hash."""

    label: str
    sha256: str


# Runs in the image, on pictures that nobody trusts: a PNG, or a JPEG where that would be large, of at most `LONG_EDGE`.
_RASTER = f"""
import io, sys
from PIL import Image
Image.MAX_IMAGE_PIXELS = {DECODED_PIXELS}
picture = Image.open(io.BytesIO(sys.stdin.buffer.read()))
picture.load()
if picture.mode not in ("RGB", "RGBA", "L"):
    picture = picture.convert("RGBA" if "transparency" in picture.info or picture.mode in ("LA", "PA") else "RGB")
picture.thumbnail(({LONG_EDGE}, {LONG_EDGE}), Image.Resampling.LANCZOS)
out = io.BytesIO()
picture.save(out, "PNG", optimize=True)
if out.tell() > 1_500_000:
    flat = Image.new("RGB", picture.size, "white")
    flat.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
    out = io.BytesIO()
    flat.save(out, "JPEG", quality=88)
sys.stdout.buffer.write(out.getvalue())
"""
_VECTOR = f"""
import sys
import resvg_py
text = sys.stdin.buffer.read().decode("utf-8", "replace")
png = bytes(resvg_py.svg_to_bytes(svg_string=text, width={LONG_EDGE // 2}, background="white"))
sys.stdout.buffer.write(png)
"""


def sandbox_converter(engine: Engine, image: Path, policy: Policy) -> Convert:
    """Conversion by the image's own Pillow and SVG rasteriser, in a sandbox that ends with it."""
    from ..sandbox.oneshot import run_once

    async def convert(code: str, data: bytes) -> bytes:
        return await run_once(engine, image, code, data, timeout=CONVERT_SECONDS, policy=policy)

    return convert


@dataclass
class Pictures:
    """``seen`` has the label of each picture, by the original's sha256, that the model still sees.

    Without ``convert`` nothing is made smaller.
    """

    convert: Convert | None = None
    seen: dict[str, str] = field(default_factory=dict[str, str])

    async def prepare(self, blocks: Iterable[Block], label: str) -> tuple[list[Block], list[SentPicture]]:
        """Each image block as it may be sent, or a text in its place; and what was sent, in order."""
        prepared: list[Block] = []
        sent: list[SentPicture] = []
        for block in blocks:
            if block.get("type") != "image":
                prepared.append(block)
                continue
            picture, digest = await self._picture(block, label)
            prepared.append(picture)
            if digest:
                sent.append({"label": label, "sha256": digest})
        return prepared, sent

    async def _picture(self, block: Block, label: str) -> tuple[Block, str | None]:
        try:
            data = base64.b64decode(block["source"]["data"], validate=False)
        except (KeyError, TypeError, binascii.Error):
            return _words(f"[a picture of {label} that cannot be read; the notebook has it as it is]"), None
        digest = hashlib.sha256(data).hexdigest()
        if digest in self.seen:
            return _words(f"[the same picture as that of {self.seen[digest]}]"), None
        block = await self._fitting(data, label)
        if block["type"] != "image":
            return block, None
        self.seen[digest] = label
        return block, digest

    async def _fitting(self, data: bytes, label: str) -> Block:
        header = read_header(data)
        if header is None:
            return _words(f"[a picture of {label} of a kind that cannot be shown here; the notebook has it]")
        if header.pixels > DECODED_PIXELS:
            size = f"{header.width} x {header.height}"
            return _words(
                f"[a picture of {label} of {size} pixels, too large to be shown here; make a smaller one to see it]"
            )
        if _fits(header, data):
            return image_block(header.media_type, data)
        return await self._converted(header, data, label)

    async def _converted(self, header: Header, data: bytes, label: str) -> Block:
        failed = _words(f"[a picture of {label} ({_size(header)}) that could not be made smaller; the notebook has it]")
        if self.convert is None:
            return failed
        try:
            smaller = await self.convert(_VECTOR if header.media_type == SVG else _RASTER, data)
            made = read_header(smaller)
            if made and made.media_type != SVG and made.pixels <= DECODED_PIXELS and not _fits(made, smaller):
                # A tall SVG is still too long after its width was set.
                smaller = await self.convert(_RASTER, smaller)
                made = read_header(smaller)
        except (GatewayError, OSError):
            # A picture is never worth the turn.
            return failed
        return image_block(made.media_type, smaller) if made and _fits(made, smaller) else failed


def image_block(media_type: str, data: bytes) -> Block:
    source = {"type": "base64", "media_type": media_type, "data": base64.b64encode(data).decode("ascii")}
    return {"type": "image", "source": source}


def _fits(header: Header, data: bytes) -> bool:
    is_small = 0 < header.long_edge <= LONG_EDGE and len(data) * 4 / 3 <= ENCODED_BYTES
    return header.media_type != SVG and is_small


def _size(header: Header) -> str:
    return "SVG" if header.media_type == SVG else f"{header.width} x {header.height} pixels"


def _words(text: str) -> Block:
    return {"type": "text", "text": text}
