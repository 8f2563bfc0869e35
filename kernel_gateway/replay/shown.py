"""A notebook that has not run here, as text cells: its words as they were, its code and recorded outputs as what they are, a record."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..notebook.outputs import mapping, notebook_outputs, text, valid_output, without_escapes
from .source import RecordedCell, Recording

# Characters of one cell's outputs that are shown; the notebook itself, which lies in the workspace, has the rest.
SHOWN = 4000
_LANGUAGES = {"%%bash": "bash", "%%sh": "bash", "%%node": "javascript", "%%javascript": "javascript"}
_TEXTS = ("text/plain", "text/markdown", "text/latex")


def recorded_texts(recording: Recording) -> Iterator[tuple[RecordedCell, str]]:
    """Each cell but our setup cells, with the markdown that stands for it."""
    for cell in recording.cells:
        if cell.role == "text":
            yield cell, cell.source
        elif cell.role != "setup" and (cell.source.strip() or cell.outputs):
            yield cell, _code(cell, recording.name)


def _code(cell: RecordedCell, name: str) -> str:
    language = _LANGUAGES.get(cell.source.partition("\n")[0].strip(), "python")
    parts = [f"*Cell {cell.number} of {_plain(name)}, not run here:*", fenced(cell.source, language)]
    shown = "\n".join(t for o in notebook_outputs([valid_output(o) for o in cell.outputs]) if (t := _text(o)))
    if shown.strip():
        cut = f"\n… {len(shown) - SHOWN:,} more characters are in the notebook" if len(shown) > SHOWN else ""
        parts += ["*It was recorded to give:*", fenced(shown[:SHOWN].rstrip("\n") + cut)]
    return "\n\n".join(parts)


def _text(output: Mapping[str, Any]) -> str:
    match output["output_type"]:
        case "stream":
            found = output["text"]
        case "error":
            found = f"{output['ename']}: {output['evalue']}"
        case _:
            data = mapping(output.get("data"))
            found = next((text(data[mime]) for mime in _TEXTS if mime in data), "")
            others = [mime for mime in data if mime.startswith("image/")]
            found += "".join(f"\n({mime}: in the notebook)" for mime in others)
    return without_escapes(found).rstrip("\n")


def fenced(content: str, language: str = "") -> str:
    """A code block that nothing in it ends."""
    longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{content.rstrip()}\n{fence}"


def _plain(name: str) -> str:
    return re.sub(r"([\\`*_\[\]<>$!])", r"\\\1", name)
