"""RO-Crate 1.1 metadata: what a zip holds, for archives and programs."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from .opening import Opened
from .outputs import mapping, text


@dataclass(frozen=True)
class Packed:
    """A file of the zip. ``role`` is one of `kept.Role`, or notebook, lock, readme, metadata; ``path`` its name in the session."""

    name: str
    role: str
    size: int
    sha256: str
    path: str = ""


_DESCRIPTIONS = {
    "input": "Given to the session",
    "made": "Made by a cell",
    "other": "Lay in the session's workspace",
    "text": "The whole of a long output",
    "lock": "The environment, pinned by hash",
    "readme": "How to run it",
}


def crate(opened: Opened, packed: Sequence[Packed]) -> dict[str, Any]:
    """The JSON-LD of ``ro-crate-metadata.json``; ``packed`` is all that the zip holds but this."""
    about = {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        "about": {"@id": "./"},
    }
    files = [_file(p, opened) for p in packed]
    graph: list[dict[str, Any]] = [about, _root(opened, packed), *files]
    if opened.ours:
        graph += [_run(opened, packed), _software(opened)]
    return {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}


def _root(opened: Opened, packed: Sequence[Packed]) -> dict[str, Any]:
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "name": opened.title,
        "description": "An analysis as a notebook that runs again, with its inputs and results.",
        "datePublished": text(opened.ours.get("created") or "1970-01-01T00:00:00Z"),
        "license": "Not stated: ask whoever gave you this.",
        "hasPart": [_reference(p) for p in packed],
    }
    if any(p.role == "notebook" for p in packed):
        root["mainEntity"] = {"@id": "notebook.ipynb"}
    if opened.ours:
        root["mentions"] = {"@id": "#run"}
    return root


def _reference(packed: Packed) -> dict[str, str]:
    return {"@id": quote(packed.name)}


def _file(packed: Packed, opened: Opened) -> dict[str, Any]:
    kind = mimetypes.guess_type(packed.name)[0] or "application/octet-stream"
    found: dict[str, Any] = {
        **_reference(packed),
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"] if packed.role == "notebook" else "File",
        "name": opened.title if packed.role == "notebook" else packed.path or packed.name,
        "contentSize": str(packed.size),
        "encodingFormat": "application/x-ipynb+json" if packed.role == "notebook" else kind,
        "sha256": packed.sha256,
    }
    if packed.role in _DESCRIPTIONS:
        found["description"] = _DESCRIPTIONS[packed.role]
    if packed.role == "notebook":
        found["programmingLanguage"] = "Python"
    return found


def _run(opened: Opened, packed: Sequence[Packed]) -> dict[str, Any]:
    return {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"Session {text(opened.ours.get('session') or opened.name)}",
        "startTime": text(opened.ours.get("created") or ""),
        "instrument": [{"@id": "notebook.ipynb"}, {"@id": "#cell-gateway"}],
        "object": [_reference(p) for p in packed if p.role == "input"],
        "result": [_reference(p) for p in packed if p.role == "made"],
    }


def _software(opened: Opened) -> dict[str, Any]:
    environment = mapping(opened.ours.get("environment"))
    return {
        "@id": "#cell-gateway",
        "@type": "SoftwareApplication",
        "name": "Cell Gateway",
        "softwareVersion": text(opened.ours.get("version") or ""),
        "runtimePlatform": f"Python {text(environment.get('python') or '')}".strip(),
    }
