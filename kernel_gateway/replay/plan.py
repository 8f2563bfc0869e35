"""What a replay needs, found or built: the notebook as it was recorded, an environment, a sandbox, a place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Settings
from ..image import progress
from ..image.image import Image
from ..image.store import ImageStore
from ..sandbox.engine import Engine
from ..session.folder import SessionFolder, SessionStore
from ..session.opening import ensured_image, owner_name
from .environment import Environment, builder, choose
from .fresh import Fresh
from .source import Recording, read_recording

Showing = Callable[[], AbstractContextManager[progress.Progress]]


@dataclass(frozen=True)
class Plan:
    """All that a replay needs."""

    recording: Recording
    environment: Environment
    engine: Engine
    fresh: Fresh


def plan(
    settings: Settings,
    source: Path | SessionFolder,
    *,
    is_chosen: bool = False,
    strict: bool = False,
    ensure: Callable[[Settings], Image] = ensured_image,
    building: Showing = lambda: nullcontext(progress.silent),
    say: Callable[[str], None] = lambda text: None,
) -> Plan:
    """Read the notebook, find its image or build it, and a sandbox; ``strict`` raises OtherEnvironment for other packages.

    Limits and mounts hold again of this machine's own sessions alone. ``is_chosen``: the settings' image is wanted, whatever was
    recorded. ``ensure`` gives that image; ``building`` shows how far a recorded environment is that must be built.
    """
    from ..sandbox.engines import make_engine

    recording = read_recording(source)
    store = ImageStore(settings.images)
    engine = make_engine(settings["engine"])

    def build(lock: str, python: str) -> Image:
        with building() as on_step:
            return builder(store, engine, on_step)(lock, python)

    environment = choose(recording, store, lambda: ensure(settings), build=build, is_chosen=is_chosen)
    if strict:
        environment.insist()
    values = _values(settings, recording, environment, engine, say)
    return Plan(recording, environment, engine, Fresh(settings.data, values))


def _values(
    settings: Settings, recording: Recording, environment: Environment, engine: Engine, say: Callable[[str], None]
) -> dict[str, Any]:
    from ..session.create import session_values
    from ..session.mounts import MountRequest

    stored = _stored(settings, recording)
    mounts = [MountRequest(Path(m["source"]), m["name"]) for m in stored.get("mounts", [])]
    for gone in [m for m in mounts if not m.source.exists()]:
        say(f"The mount inputs/{gone.name} is not there any more.")
    there = [m for m in mounts if m.source.exists()]
    values = session_values(
        settings,
        image=environment.image,
        engine=engine.name,
        mounts=there,
        model=stored.get("model") or settings["model"],
        owner=owner_name(),
    )
    return {**values, "policy": stored.get("policy", values["policy"])}


def _stored(settings: Settings, recording: Recording) -> dict[str, Any]:
    """What holds of a session's own limits and mounts: nothing, unless this machine made it. A folder that somebody sent can say that
    it is a session, too.
    """
    session = recording.session
    if session is None or session.path.resolve().parent != SessionStore(settings.data).root.resolve():
        return {}
    return session.read()
