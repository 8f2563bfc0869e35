"""The environment of a replay against the recorded one: the same image, one built from the notebook's lock, or what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BadRequest, GatewayError, ImageUnavailable
from ..image.image import Image
from ..image.progress import Progress, silent
from ..image.recorded import build_recorded
from ..image.store import ImageStore
from ..sandbox.engine import Engine
from ..sandbox.oneshot import OneshotFailed, run_once
from ..session.policy import GB, Policy
from .source import Recording

TOLD = 12
_FONT_SECONDS = 60.0
_FONT_BYTES = 4 * 1024**2
# From an image's root and a notebook's lock and Python to an image. Raises BadRequest, ImageUnavailable.
Build = Callable[[str, str], Image]


class OtherEnvironment(GatewayError):
    """The recorded environment was insisted on, and cannot be had here."""

    exit_code = 2


@dataclass(frozen=True)
class Environment:
    """``is_recorded``: it is the image that was recorded, by digest; None: none was recorded. ``differences`` are told to a person.

    ``judge`` is the image that outputs are compared in: not one that a notebook's lock chose. ``missing`` says why the recorded
    packages cannot be had; ``is_built``: they could, and the image was built from the notebook's lock.
    """

    image: Image
    is_recorded: bool | None
    judge: Image
    differences: list[str] = field(default_factory=list[str])
    is_built: bool = False
    missing: str = ""

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
        told = f" ({self._told})" if self.differences else ""
        if self.is_built:
            return "It ran with the recorded packages, in an image built here from the notebook's lock" + told
        why = f"; the recorded one cannot be had: {self.missing.rstrip('.')}" if self.missing else ""
        if not self.differences:
            return f"It ran in the image {self._name}, another one than recorded with the same packages{why}"
        return f"The environment differs: it ran in the image {self._name}{told}{why}"

    @property
    def _told(self) -> str:
        more = f" and {len(self.differences) - TOLD} more" if len(self.differences) > TOLD else ""
        return ", ".join(self.differences[:TOLD]) + more

    @property
    def _name(self) -> str:
        return f"{self.image.name or 'without a name'} {self.image.digest[:12]}"

    def insist(self) -> None:
        """Raises OtherEnvironment unless the recorded packages are here, with their Python."""
        if self.is_recorded is None or self.differences:
            raise OtherEnvironment(
                f"The recorded environment is not here. {self.label}.", "Leave --strict away to run all the same."
            )

    def to_json(self) -> dict[str, Any]:
        return {
            "image": self.image.name,
            "digest": self.image.digest,
            "is_recorded": self.is_recorded,
            "is_built": self.is_built,
            "missing": self.missing or None,
            "differences": self.differences,
        }


def choose(
    recording: Recording,
    store: ImageStore,
    default: Callable[[], Image],
    *,
    build: Build | None = None,
    is_chosen: bool = False,
) -> Environment:
    """The recorded image when it is on this machine; else one with the recorded packages: ``default``, or what ``build`` makes of the
    notebook's lock; else ``default``. A person who named an image (``is_chosen``) gets that one.
    """
    digest = recording.image_digest
    if digest and not is_chosen and store.has(digest):
        image = store.find(digest)
        return Environment(image, True, default() if image.recipe.get("recorded") else image)
    image = default()
    if not digest and not recording.packages:
        return Environment(image, None, image)
    differences = list(_differences(recording, image))
    missing = ""
    if image.digest != digest and differences and not is_chosen and build is not None:
        try:
            built = build(recording.lock, recording.python)
            return Environment(built, False, image, list(_differences(recording, built)), is_built=True)
        except (BadRequest, ImageUnavailable) as error:
            missing = error.message
    return Environment(image, image.digest == digest, image, differences, missing=missing)


def builder(store: ImageStore, engine: Engine, progress: Progress = silent) -> Build:
    """Builds an image from a notebook's lock; what must run of it runs in a sandbox of ``engine``. Call it where no event loop runs."""

    def sandboxed(root: Path, code: str) -> bytes:
        try:
            policy = Policy(memory=GB, processes=32, cpus=1.0, disk=GB)
            running = run_once(engine, root, code, b"", timeout=_FONT_SECONDS, policy=policy, output_limit=_FONT_BYTES)
            return asyncio.run(running)
        except OneshotFailed:
            return b""

    def build(lock: str, python: str) -> Image:
        if not lock:
            raise ImageUnavailable("The notebook holds no lock of its packages.")
        return build_recorded(store, lock, python, sandboxed, progress)

    return build


def _differences(recording: Recording, image: Image) -> list[str]:
    found: list[str] = []
    if recording.python and recording.python != image.python_version:
        found.append(f"Python {recording.python} → {image.python_version}")
    for name, version in sorted(recording.packages.items()):
        now = image.packages.get(name)
        if now != version:
            found.append(f"{name} {version} → {now or 'not there'}")
    if recording.packages:
        found += [f"{n} not there → {v}" for n, v in sorted(image.packages.items()) if n not in recording.packages]
    return found
