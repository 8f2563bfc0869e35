"""The README of a zip: what is in it, how to look at it, and how to run it again."""

from __future__ import annotations

from collections.abc import Sequence

from .markdown import escape, human_bytes
from .opening import Opened
from .outputs import mapping, text
from .rocrate import Packed

_ROLES = (
    ("notebook", "The notebook"),
    ("input", "Inputs, as they were given"),
    ("made", "Made by its cells"),
    ("other", "Also in its workspace"),
    ("text", "Long outputs, whole"),
    ("lock", "Its environment"),
)


def readme(opened: Opened, packed: Sequence[Packed], notices: Sequence[str]) -> str:
    """Markdown; ``packed`` is all that the zip holds so far."""
    parts = [f"# {escape(opened.title)}", _origin(opened), _how(opened, packed), _contents(packed)]
    if notices:
        parts.append("## What is not in it, or differs\n\n" + "\n".join(f"- {escape(n)}" for n in notices))
    return "\n\n".join(filter(None, parts)) + "\n"


def _origin(opened: Opened) -> str:
    ours = opened.ours
    if not ours:
        return "A notebook with the files that its cells read."
    made = [f"session `{text(ours.get('session') or opened.name)}`"]
    if created := text(ours.get("created") or ""):
        made.append(f"of {created[:10]}")
    if model := text(ours.get("model") or ""):
        made.append(f"with {escape(model)}")
    return f"A Cell Gateway {' '.join(made)}: prompts, words, code and results are in `notebook.ipynb`."


def _how(opened: Opened, packed: Sequence[Packed]) -> str:
    version = text(mapping(opened.ours.get("environment")).get("python") or "")
    has_lock = any(p.role == "lock" for p in packed)
    install = (
        "python -m venv venv && . venv/bin/activate\npip install --require-hashes -r requirements.txt\n"
        if has_lock
        else ""
    )
    python = f" It ran on Python {version}." if version else ""
    exact = f"In any Jupyter, on Linux or macOS.{python}" + (
        " `requirements.txt` and `pylock.toml` pin each package by hash." if has_lock else ""
    )
    return (
        "## How to run it\n\n"
        "With Cell Gateway, in a sandbox, comparing each cell with what is recorded (FILE.zip is this zip):\n\n"
        "```bash\ncell-gateway open FILE.zip          # a session of your own, to go on from here\n"
        "cell-gateway verify notebook.ipynb   # unpacked: does it still give the same?\n```\n\n"
        f"{exact} This runs its code on your machine without a sandbox, so read it first:\n\n"
        f"```bash\n{install}pip install jupyter\njupyter execute notebook.ipynb\n```"
    )


def _contents(packed: Sequence[Packed]) -> str:
    lines = ["## What is in it"]
    for role, title in _ROLES:
        rows = [f"| `{p.name}` | {human_bytes(p.size)} | `{p.sha256}` |" for p in packed if p.role == role]
        if rows:
            lines.append(f"### {title}\n\n| file | size | sha256 |\n|---|---|---|\n" + "\n".join(rows))
    lines.append("`ro-crate-metadata.json` says the same for programs (RO-Crate 1.1).")
    return "\n\n".join(lines)
