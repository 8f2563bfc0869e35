"""Pictures of a cell: linked by name, shown inline where the terminal is known to draw them."""

from __future__ import annotations

import base64
import binascii
import json
import os
import struct
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ..notebook.write import picture_names
from ..session.folder import SessionFolder

SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/svg+xml": ".svg",
}
KINDS = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
# A terminal decodes in its own process: no bombs.
MAX_INLINE_BYTES = 8 * 1024**2
MAX_INLINE_PIXELS = 20_000_000
_PNG = b"\x89PNG\r\n\x1a\n"
_KITTY_CHUNK = 4096


def picture_of(data: Mapping[str, Any]) -> bytes | None:
    """The first picture in an output's ``data``; empty when it cannot be decoded, None when there is none."""
    for mime in KINDS:
        value = data.get(mime)
        text = "".join(map(str, value)) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
        if not isinstance(text, str):
            continue
        if mime == "image/svg+xml":
            return text.encode("utf-8", "replace")
        try:
            return base64.b64decode(text, validate=False)
        except (binascii.Error, ValueError):
            return b""
    return None


def links(folder: SessionFolder, cells: Collection[str]) -> list[str]:
    """``file://`` links to the pictures of these cells, once the notebook holds them."""
    try:
        notebook: Any = json.loads(folder.notebook.read_bytes())
    except (OSError, ValueError):
        return []
    return [(folder.pictures / name).absolute().as_uri() for cell, name, _ in picture_names(notebook) if cell in cells]


def inline(content: bytes, environ: Mapping[str, str] | None = None) -> str:
    """The sequence that draws a PNG in this terminal, or an empty text: kitty's protocol, or iTerm's."""
    environ = os.environ if environ is None else environ
    if not _is_drawable(content):
        return ""
    program = environ.get("TERM_PROGRAM", "")
    if environ.get("TMUX") or environ.get("STY"):
        return ""
    if "kitty" in environ.get("TERM", "") or environ.get("KITTY_WINDOW_ID") or program == "ghostty":
        return "".join(_kitty(content)) + "\n"
    if program in ("iTerm.app", "WezTerm") or environ.get("LC_TERMINAL") == "iTerm2":
        encoded = base64.b64encode(content).decode()
        return f"\x1b]1337;File=inline=1;size={len(content)};width=auto:{encoded}\x07\n"
    return ""


def _is_drawable(content: bytes) -> bool:
    if not content.startswith(_PNG) or not 33 <= len(content) <= MAX_INLINE_BYTES:
        return False
    width, height = struct.unpack(">II", content[16:24])
    return 0 < width * height <= MAX_INLINE_PIXELS


def _kitty(content: bytes) -> Iterator[str]:
    encoded = base64.b64encode(content).decode()
    for start in range(0, len(encoded), _KITTY_CHUNK):
        more = int(start + _KITTY_CHUNK < len(encoded))
        control = f"f=100,a=T,m={more}" if start == 0 else f"m={more}"
        yield f"\x1b_G{control};{encoded[start : start + _KITTY_CHUNK]}\x1b\\"
