"""The environment of a replay against the recorded one: the same image when it is here, else what differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..image.image import Image
from ..image.store import ImageStore
from ..notebook.outputs import mapping, text
from .source import Recording

TOLD = 12


@dataclass(frozen=True)
class Environment:
    """``is_recorded``: it is the image that was recorded, by digest; None: none was recorded. ``differences`` are told to a person."""

    image: Image
    is_recorded: bool | None
    differences: list[str] = field(default_factory=list[str])

    @property
    def label(self) -> str:
        """Empty when nothing is to be said."""
        if self.is_recorded:
            return ""
        if self.is_recorded is None:
            return (
                "The notebook does not say which packages it was made with; it ran with those of the image "
                + self._name
            )
        told = ", ".join(self.differences[:TOLD])
        more = f" and {len(self.differences) - TOLD} more" if len(self.differences) > TOLD else ""
        return f"The environment differs: it ran in the image {self._name}" + (f" ({told}{more})" if told else "")

    @property
    def _name(self) -> str:
        return f"{self.image.name or 'without a name'} {self.image.digest[:12]}"

    def to_json(self) -> dict[str, Any]:
        return {
            "image": self.image.name,
            "digest": self.image.digest,
            "is_recorded": self.is_recorded,
            "differences": self.differences,
        }


def choose(
    recording: Recording, store: ImageStore, default: Callable[[], Image], *, is_chosen: bool = False
) -> Environment:
    """The recorded image when it is on this machine, else ``default``, which ``is_chosen`` when a person named it."""
    digest = recording.image_digest
    image = store.find(digest) if not is_chosen and store.has(digest) else default()
    if not digest and not recording.packages:
        return Environment(image, None)
    if image.digest == digest:
        return Environment(image, True)
    return Environment(image, False, list(_differences(recording, image)))


def _differences(recording: Recording, image: Image) -> list[str]:
    recorded = mapping(recording.metadata.get("environment"))
    found: list[str] = []
    if (python := text(recorded.get("python") or "")) and python != image.python_version:
        found.append(f"Python {python} → {image.python_version}")
    for name, version in sorted(recording.packages.items()):
        now = image.packages.get(name)
        if now != version:
            found.append(f"{name} {version} → {now or 'not there'}")
    if recording.packages:
        found += [f"{n} not there → {v}" for n, v in sorted(image.packages.items()) if n not in recording.packages]
    return found
