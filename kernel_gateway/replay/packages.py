"""The packages that a cell installed: what its replay is held to, and whether it came to the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..notebook.outputs import mapping, sequence, text


@dataclass(frozen=True)
class Installed:
    """``sha256`` is that of the file it came from; None when it came from elsewhere than a registry, so nothing is known of it."""

    name: str
    version: str
    sha256: str | None = None

    @property
    def pin(self) -> str:
        return f"{self.name}=={self.version}"


def installed(packages: Any) -> tuple[Installed, ...]:
    """Of a ``packages`` record, which may be anybody's."""
    found = [mapping(p) for p in sequence(mapping(packages).get("installed"))]
    return tuple(
        Installed(text(p["name"]), text(p["version"]), text(p["sha256"]) if isinstance(p.get("sha256"), str) else None)
        for p in found
        if isinstance(p.get("name"), str) and isinstance(p.get("version"), str)
    )


def differences(number: int, recorded: Sequence[Installed], again: Mapping[str, Any] | None) -> Iterator[str]:
    """What a replayed cell installed otherwise than it was recorded to, in words."""
    now = {p.name: p for p in installed(again)}
    for one in recorded:
        found = now.pop(one.name, None)
        if found is None:
            yield f"Cell {number} did not install {one.name} {one.version}, which it had: it cannot be had here any more."
        elif found.version != one.version:
            yield f"Cell {number} installed {one.name} {found.version}; it was {one.version}."
        elif one.sha256 is None or found.sha256 is None:
            yield f"Cell {number} installed {one.name} {one.version}; whether from the same file is not known."
        elif found.sha256 != one.sha256:
            yield f"Cell {number} installed {one.name} {one.version} from another file than then (other bytes)."
    for extra in now.values():
        yield f"Cell {number} installed {extra.name} {extra.version} too, which it had not."
