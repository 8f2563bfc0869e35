"""What a run tells the model: text and pictures in their order, cut to a budget with exact counts."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..notebook.outputs import without_escapes
from ..supervisor.runs import ExitKind, Output, RunResult
from .base import Block

LIMIT = 30_000
MOST_PICTURES = 20
LISTED_FILES = 50
# What the model reads best of a bundle comes first; HTML and widgets only by their plain text.
_TEXTS = ("text/markdown", "text/plain", "text/latex", "application/json")
_PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/svg+xml")
_LIBRARY_FRAME = re.compile(r"File .*(/(site-packages|dist-packages|lib/python3[.\d]*)/|\.(pyx|pxi):)")
_LONGEST_TRACEBACK = 8_000
_LONGEST_NOTICE = 4_000
_EXITS: dict[ExitKind, str] = {
    "timeout": "The cell reached its time limit after {:.0f} s and was stopped.",
    "interrupted": "The cell was interrupted after {:.0f} s.",
    "died": "The kernel died while this cell ran.",
    "aborted": "The cell was not run.",
}


@dataclass(frozen=True)
class Picture:
    """A picture as the kernel sent it: of any size, and not known to be what ``mime`` says."""

    mime: str
    data: bytes

    def block(self) -> Block:
        encoded = base64.b64encode(self.data).decode("ascii")
        return {"type": "image", "source": {"type": "base64", "media_type": self.mime, "data": encoded}}


@dataclass
class _Text:
    """``kind``: ``err`` keeps more of its tail; an error comes last, after both streams."""

    kind: Literal["out", "err", "error"]
    text: str


def is_error(result: RunResult) -> bool:
    return result.exit != "ok"


def pictures(result: RunResult) -> list[Picture]:
    """In order of appearance, one an output, raster before vector. Unreadable base64 is left out."""
    found = (_picture(_bundle(output)) for output in result.outputs)
    return [picture for picture in found if isinstance(picture, Picture)]


def content(result: RunResult, *, limit: int = LIMIT, silent: str = "(no output)", frames: bool = True) -> list[Block]:
    """The blocks of a ``tool_result``: never empty, texts and images in order of appearance, remarks at the end.

    ``limit`` is in characters of output in all; remarks come on top. ``silent`` is said when the cell put out nothing. Without
    ``frames`` an error is its message alone. Images are as the kernel sent them, SVG too: whoever sends them makes them fit.
    """
    parts = list(_arranged(_parts(result.outputs, frames)))
    texts = [part for part in parts if isinstance(part, _Text)]
    allowances = iter(shares([len(part.text) for part in texts], limit))
    shown: list[Picture | str] = [_show(part, next(allowances)) if isinstance(part, _Text) else part for part in parts]
    is_cut = sum(len(part.text) for part in texts) > limit
    remarks = "\n\n".join(_remarks(result, is_cut))
    return _blocks([*(shown or [silent]), remarks])


def shares(lengths: Sequence[int], limit: int) -> list[int]:
    """How many of ``limit`` characters each text gets: short ones all they need, long ones equal parts of the rest."""
    allowed = [0] * len(lengths)
    left = limit
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    for place, index in enumerate(by_length):
        allowed[index] = min(lengths[index], left // (len(lengths) - place))
        left -= allowed[index]
    return allowed


def cut(text: str, limit: int, tail: float = 0.5) -> str:
    """``text``, or its head and its end with the number of characters left out between; ``tail`` is the end's share of ``limit``.

    The remark itself is not counted in ``limit``.
    """
    if len(text) <= limit:
        return text
    end = int(limit * tail)
    head, last = text[: limit - end], text[len(text) - end :]
    left_out = text[len(head) : len(text) - end]
    remark = f"[… {len(left_out):,} of {len(text):,} characters left out, {left_out.count(chr(10)):,} line ends among them …]"
    return f"{head}\n{remark}\n{last}"


def listed(files: Sequence[Mapping[str, Any]]) -> str:
    """One file a line, with its size."""
    lines = [f"- {file['path']} ({file['bytes']:,} bytes)" for file in files[:LISTED_FILES]]
    if len(files) > LISTED_FILES:
        lines.append(f"- and {len(files) - LISTED_FILES:,} more")
    return "\n".join(lines)


def _parts(outputs: Sequence[Output], frames: bool) -> Iterator[_Text | Picture]:
    count = 0
    for output in outputs:
        if output["output_type"] == "stream":
            yield _Text("err" if output["name"] == "stderr" else "out", _plain(_joined(output["text"])))
        elif output["output_type"] == "error":
            yield _Text("error", cut(_traceback(output) if frames else _message(output), _LONGEST_TRACEBACK))
        elif found := _picture(_bundle(output)):
            count += isinstance(found, Picture)
            yield found if count <= MOST_PICTURES else _Text("out", "[one more picture; the notebook has it]\n")
        elif text := next((_joined(_bundle(output)[mime]) for mime in _TEXTS if mime in _bundle(output)), ""):
            yield _Text("out", _ended(_plain(text)))


def _arranged(parts: Iterator[_Text | Picture]) -> Iterator[_Text | Picture]:
    """Between two pictures at most one text of each kind: what a program prints, then what it warns of, then why it failed."""
    gathered: dict[str, list[str]] = {"out": [], "err": [], "error": []}
    for part in [*parts, None]:
        if isinstance(part, _Text):
            gathered[part.kind].append(part.text)
            continue
        for kind in ("out", "err", "error"):
            if text := "".join(gathered[kind]):
                yield _Text(kind, text)
            gathered[kind].clear()
        if part:
            yield part


def _show(part: _Text, allowance: int) -> str:
    if part.kind == "err":
        return f"[stderr]\n{cut(part.text, allowance, tail=0.75)}"
    return cut(part.text, allowance)


def _blocks(shown: Sequence[Picture | str]) -> list[Block]:
    """Neighbouring texts become one block."""
    blocks: list[Block] = []
    for item in shown:
        if isinstance(item, Picture):
            blocks.append(item.block())
        elif not item.strip():
            continue
        elif blocks and blocks[-1]["type"] == "text":
            blocks[-1]["text"] = _ended(blocks[-1]["text"]) + item
        else:
            blocks.append({"type": "text", "text": item})
    return blocks or [{"type": "text", "text": "(only white space)"}]


def _remarks(result: RunResult, is_cut: bool) -> Iterator[str]:
    if result.exit in _EXITS:
        yield f"[{_EXITS[result.exit].format(result.duration)}]"
    if result.notice:
        yield f"[{cut(_plain(result.notice), _LONGEST_NOTICE)}]"
    if result.whole:
        yield f"[In here the whole output is /outputs/{result.whole.rpartition('outputs/')[2]}.]"
    elif is_cut:
        yield "[The notebook has the whole output. Print less, or write to a file and look at parts of it.]"
    if result.files:
        yield f"New or changed files:\n{listed(result.files)}"


def _traceback(output: Output) -> str:
    """The frames of cells and of the workspace, the innermost one and the message; those of libraries between are counted."""
    frames = [_plain(_joined(frame)).strip("\n") for frame in output.get("traceback") or []]
    frames = [frame for frame in frames if frame.strip("- \n")]
    kept: list[str] = []
    skipped = 0
    for place, frame in enumerate(frames):
        if place < len(frames) - 2 and _LIBRARY_FRAME.match(frame):
            skipped += 1
            continue
        if skipped:
            kept.append(f"[… {skipped} {'frame' if skipped == 1 else 'frames'} of libraries …]")
            skipped = 0
        kept.append(frame)
    return "\n".join(kept) or _message(output)


def _message(output: Output) -> str:
    return _plain(f"{output.get('ename', '')}: {output.get('evalue', '')}")


def _picture(bundle: Mapping[str, Any]) -> Picture | _Text | None:
    """A text when there is a picture that nobody can read."""
    mime = next((mime for mime in _PICTURES if mime in bundle), None)
    if mime is None:
        return None
    data = _joined(bundle[mime])
    if mime == "image/svg+xml":
        return Picture(mime, data.encode("utf-8", "replace"))
    try:
        return Picture(mime, base64.b64decode("".join(data.split()), validate=True))
    except (binascii.Error, ValueError):
        return _Text("out", f"[a picture ({mime}) that cannot be read; the notebook has it as it is]\n")


def _bundle(output: Output) -> Mapping[str, Any]:
    data = output.get("data")
    return data if isinstance(data, dict) else {}


def _joined(value: Any) -> str:
    """Text of an nbformat field: a string, or a list of its lines."""
    if isinstance(value, list):
        return "".join(str(line) for line in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return str(value)


def _plain(text: str) -> str:
    """As a terminal would leave it: without colours, and of a line that was drawn anew (a progress bar) the last state."""
    lines = without_escapes(text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] if "\r" in line else line for line in lines)


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"
