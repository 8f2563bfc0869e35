"""What a notebook says in markdown: prompts, the model's words, files, setup cells, notices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from .outputs import mapping, text

# Fenced blocks and code spans; the rest of a prompt is a person's plain text.
_CODE = re.compile(
    r"(^ {0,3}(?P<fence>`{3,}|~{3,}).*?(?:^ {0,3}(?P=fence)[^\n]*$|\Z)|(?P<tick>`+)[^\n]*?(?P=tick))", re.M | re.S
)
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>()#+!|$~]")

_SETUP = {
    "setup": "The next cell was put here by Cell Gateway. Away from its sandbox it enters the folder `workspace` beside "
    "this notebook and sets `INPUT_DIR` and `OUTPUT_DIR`, so that the cells below find their files.",
    "bash": "The next cell was put here by Cell Gateway. It makes all `%%bash` cells share one bash process, so that the "
    "folder, variables, functions and jobs of one cell are there in the next. It needs bash 4.4 or newer.",
    "node": "The next cell was put here by Cell Gateway. It makes all `%%node` cells share one Node process, so that the "
    "variables of one cell are there in the next. It needs Node 20 or newer.",
}
_SETUP_END = " It uses Python's standard library alone."


def prompt(body: str, attachments: Iterable[Any] = (), embedded: Mapping[str, str] | None = None) -> str:
    """A person's words as a quotation under **You**: theirs at a glance in Jupyter and on GitHub.

    Line breaks, ``<`` and ``$`` stay what was typed; code in backticks is code. ``embedded`` gives the attachment name of
    a picture by its sha256; other files become links into the workspace.
    """
    parts = ["**You**", "", *_typed(body).split("\n")]
    files = [_attached(mapping(a), embedded or {}) for a in attachments]
    if files:
        parts += ["", *files]
    return "\n".join(f"> {line}".rstrip() if not line.strip() else f"> {line}" for line in parts)


def _typed(body: str) -> str:
    """Plain text as markdown that shows it so; code is left alone."""
    pieces: list[str] = []
    end = 0
    for match in _CODE.finditer(body):
        pieces += [_escaped(body[end : match.start()]), match[0]]
        end = match.end()
    pieces.append(_escaped(body[end:]))
    return "".join(pieces)


def _escaped(piece: str) -> str:
    piece = piece.replace("<", "&lt;").replace("$", "\\$")
    # Two blanks keep a line break that markdown would join; not before an empty line.
    return re.sub(r"(?<=\S)[ \t]*\n(?=\S)", "  \n", piece)


def _attached(item: Mapping[str, Any], embedded: Mapping[str, str]) -> str:
    name = text(item.get("name") or item.get("path") or "file")
    if attachment := embedded.get(text(item.get("sha256", ""))):
        return f"![{escape(name)}](attachment:{attachment})"
    return f"Attached: {file_link(item)}{_size(item)}"


def words(body: str, files: Iterable[Any] = ()) -> str:
    """What the model said, as it said it, and the files it presents."""
    items = [f"- {file_link(f)}{_size(f)}{_digest(f)}" for f in map(mapping, files)]
    return "\n\n".join(part for part in (body, "\n".join(items)) if part)


def file_link(item: Mapping[str, Any]) -> str:
    """A link to a file of the workspace, relative to the notebook."""
    path = workspace_path(item.get("path"))
    name = text(item.get("name") or path)
    return f"[{escape(name)}](workspace/{quote(path)})" if path else escape(name)


def workspace_path(path: Any) -> str:
    """A file's path relative to the workspace; empty when it names nothing in it."""
    relative = text(path).removeprefix("/workspace/").removeprefix("./") if isinstance(path, str) else ""
    return "" if relative.startswith("/") or ".." in relative.split("/") else relative


def escape(value: str) -> str:
    """Text that markdown shows as it is, on one line."""
    return _SPECIAL.sub(lambda m: "&lt;" if m[0] == "<" else f"\\{m[0]}", " ".join(value.split()))


def _size(item: Mapping[str, Any]) -> str:
    size = item.get("bytes")
    return f" · {human_bytes(size)}" if isinstance(size, int) and not isinstance(size, bool) else ""


def _digest(item: Mapping[str, Any]) -> str:
    digest = item.get("sha256")
    return f" · sha256 `{digest}`" if isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) else ""


def human_bytes(size: float) -> str:
    """Such as ``12.3 KB``; 1 KB = 1024 bytes."""
    if abs(size) >= 1e300:
        return "many bytes"
    for unit in ("bytes", "KB", "MB", "GB"):
        if abs(size) < 1024 or unit == "GB":
            break
        size /= 1024
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"


def setup(kind: str) -> str:
    """The line above a setup cell."""
    return _SETUP.get(kind, "The next cell was put here by Cell Gateway.") + _SETUP_END


def notice(body: str) -> str:
    """Something a reader should know; paths below ``outputs/`` become links."""
    linked = re.sub(
        r"(?<![\w/])/?outputs/([\w.-]*[\w-])", lambda m: f"[outputs/{m[1]}](outputs/{quote(m[1])})", _escaped(body)
    )
    return "\n".join(f"> {line}".rstrip() for line in f"**Note:** {linked}".split("\n"))


def cut(kept: int, total: int, whole: str | None) -> str:
    """That an output was cut, how much of it is here, and where the whole is."""
    where = f"; the whole is in outputs/{whole}." if whole else "; the rest was not kept."
    return f"The output was cut: {kept:,} of {total:,} bytes are in the notebook{where}"


def pictures(names: Iterable[str]) -> Iterator[str]:
    """The lines of a cell that keeps pictures as attachments."""
    yield "Pictures of the cell above:"
    for number, name in enumerate(names, 1):
        yield f"![picture {number}](attachment:{name})"
