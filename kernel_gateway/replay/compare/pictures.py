"""Pictures, pixel by pixel, with a picture of the difference."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageSequence, UnidentifiedImageError

from .model import SAME, Finding, Options, Unreadable

Pixels = Any
_LARGEST_PIXELS = 80_000_000
_FRAMES = 200
_EDGE = 1400
_PNG_BYTES = 2_000_000
# As in the table of docs/verify.md: a pixel that is plainly another one.
_PLAIN = 32
_MARK = (214, 0, 106)

Image.MAX_IMAGE_PIXELS = _LARGEST_PIXELS


@dataclass(frozen=True)
class _Frame:
    """``exact`` in the picture's own depth; ``image`` as RGBA."""

    exact: Pixels
    image: Image.Image


def compare(before: bytes, after: bytes, options: Options) -> Finding:
    """Same for equal pixels, close within ``options.levels``. A picture of another size differs; it is drawn scaled.

    Raises Unreadable.
    """
    if before == after:
        return SAME
    a, b = list(_frames(before)), list(_frames(after))
    if len(a) != len(b):
        return Finding("differs", f"number of frames: {len(a)} → {len(b)}")
    findings = (_compare_frames(x, y, options) for x, y in zip(a, b, strict=False))
    result = SAME
    for number, finding in enumerate(findings, 1):
        if finding.verdict == "differs":
            return finding if len(a) == 1 else _named(finding, f"frame {number}: ")
        result = finding if finding.verdict == "close" else result
    return result


def _named(finding: Finding, prefix: str) -> Finding:
    return Finding(finding.verdict, prefix + finding.reason, numbers=finding.numbers, picture=finding.picture)


def _frames(data: bytes) -> Iterator[_Frame]:
    try:
        with Image.open(io.BytesIO(data)) as opened:
            for number, frame in enumerate(ImageSequence.Iterator(opened)):
                if number >= _FRAMES:
                    return
                yield _Frame(_exact(frame), frame.convert("RGBA"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Unreadable(f"not a picture that can be read: {error}") from None


def _exact(frame: Image.Image) -> Pixels:
    """16 bits and floats stay what they are; palettes, which may be ordered at will, become colours."""
    if frame.mode.startswith(("I", "F")):
        return np.asarray(frame).astype(np.float64)
    return np.asarray(frame.convert("RGBA"))


def _compare_frames(a: _Frame, b: _Frame, options: Options) -> Finding:
    if a.image.size != b.image.size:
        return _compare_sizes(a, b, options)
    if a.exact.shape != b.exact.shape:
        a, b = _Frame(_exact(a.image), a.image), _Frame(_exact(b.image), b.image)
    if np.array_equal(a.exact, b.exact):
        return SAME
    off, squares = _differences(a.exact, b.exact)
    return _judge(off, squares, a, b, options) if off.any() else SAME


def _differences(a: Pixels, b: Pixels) -> tuple[Pixels, float]:
    """By how much each pixel is off, in its worst channel; and the mean of the squares over all colour channels."""
    if a.ndim == 2:
        off = np.abs(a - b)
        return off, float((off**2).mean())
    # Unsigned, so that a large picture does not take four times its room.
    channels = np.maximum(a, b) - np.minimum(a, b)
    # What is wholly transparent on both sides shows no colour.
    channels[(a[..., 3] == 0) & (b[..., 3] == 0)] = 0
    off = np.maximum.reduce([channels[..., n] for n in range(4)])
    values = channels[..., :3][off > 0].astype(np.float64)
    return off, float((values**2).sum() / (off.size * 3))


def _judge(off: Pixels, squares: float, a: _Frame, b: _Frame, options: Options) -> Finding:
    share, largest = float((off > 0).mean()), float(off.max())
    numbers = {
        "share": share,
        "share_plain": float((off > _PLAIN).mean()),
        "largest": largest,
        "rms": squares**0.5,
    }
    picture = _drawn(off, b.image) if options.draw else None
    levels = f"by at most {largest:g} levels"
    if largest <= options.levels and off.dtype == np.uint8:
        return Finding("close", f"{_percent(share)} of the pixels, {levels} of 255", numbers=numbers, picture=picture)
    reason = f"{_percent(share)} of the pixels differ, {_region(off)}, {levels}, see picture"
    return Finding("differs", reason, numbers=numbers, picture=picture)


def _percent(share: float) -> str:
    if share < 0.0001:
        return "less than 0.01 %"
    return f"{share * 100:.2f} %" if share < 0.1 else f"{share * 100:.0f} %"


def _region(off: Pixels) -> str:
    left, top, right, bottom = _box(off)
    return f"in a region of {right - left} × {bottom - top} at ({left}, {top})"


def _box(off: Pixels) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(off.any(axis=1)), np.flatnonzero(off.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _compare_sizes(a: _Frame, b: _Frame, options: Options) -> Finding:
    """The difference is drawn with the new picture scaled to the size of the old one."""
    reason = f"size {a.image.width} × {a.image.height} → {b.image.width} × {b.image.height} pixels"
    if not options.draw:
        return Finding("differs", reason)
    scaled = b.image.resize(a.image.size, Image.Resampling.LANCZOS)
    off, _ = _differences(np.asarray(a.image), np.asarray(scaled))
    return Finding("differs", f"{reason}, drawn to one scale", picture=_drawn(off, scaled, is_scaled=True))


def _drawn(off: Pixels, image: Image.Image, *, is_scaled: bool = False) -> bytes:
    """The new picture, pale, with what differs in one strong colour, thick enough to be seen, and a frame around it."""
    off = _pooled(off, -(-max(image.size) // _EDGE))
    small = image.resize((off.shape[1], off.shape[0]), Image.Resampling.BOX)
    pale = np.asarray(_on_white(small).convert("L")).astype(np.float64)
    canvas = np.repeat((255 - (255 - pale) * 0.3)[..., None], 3, axis=2)
    differs = off > (_PLAIN * 2 if is_scaled else 0)
    strength = np.where(_thick(off > _PLAIN), 1.0, 0.55)[..., None]
    canvas = np.where(_thick(differs)[..., None], canvas * (1 - strength) + np.array(_MARK) * strength, canvas)
    if differs.any() and not is_scaled:
        _frame(canvas, _box(differs))
    return _png(Image.fromarray(canvas.clip(0, 255).astype(np.uint8)))


def _pooled(off: Pixels, factor: int) -> Pixels:
    """Smaller by ``factor``, each place the worst of what it stands for: one pixel in a large picture still shows."""
    if factor == 1:
        return off
    height, width = off.shape
    padded = np.pad(off, ((0, -height % factor), (0, -width % factor)))
    return padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor).max(axis=(1, 3))


def _on_white(image: Image.Image) -> Image.Image:
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.getchannel("A"))
    return flat


def _thick(mask: Pixels) -> Pixels:
    """One pixel more on each side."""
    wide = mask.copy()
    wide[1:] |= mask[:-1]
    wide[:-1] |= mask[1:]
    tall = wide.copy()
    wide[:, 1:] |= tall[:, :-1]
    wide[:, :-1] |= tall[:, 1:]
    return wide


def _frame(canvas: Pixels, box: tuple[int, int, int, int]) -> None:
    height, width = canvas.shape[:2]
    left, top = max(0, box[0] - 5), max(0, box[1] - 5)
    right, bottom = min(width - 1, box[2] + 4), min(height - 1, box[3] + 4)
    for line in (np.s_[top, left : right + 1], np.s_[bottom, left : right + 1]):
        canvas[line] = _MARK
    for line in (np.s_[top : bottom + 1, left], np.s_[top : bottom + 1, right]):
        canvas[line] = _MARK


def _png(picture: Image.Image) -> bytes:
    while True:
        out = io.BytesIO()
        picture.save(out, "PNG", optimize=True)
        if out.tell() <= _PNG_BYTES:
            return out.getvalue()
        picture = picture.resize((max(1, picture.width // 2), max(1, picture.height // 2)))
