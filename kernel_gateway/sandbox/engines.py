"""The engines by name, and which one ``auto`` is."""

from __future__ import annotations

from pathlib import Path

from ..errors import BadRequest, EngineUnavailable
from .bubblewrap import BubblewrapEngine
from .docker_daemon import EngineName, find_sockets, ready_daemon
from .doctor import Finding
from .engine import Engine

CONTAINERS: tuple[EngineName, ...] = ("docker", "gvisor", "podman")
NAMES = ("bubblewrap", *CONTAINERS)
AUTO = "auto"
# Never gVisor: whoever set it up chooses it by name.
_TRIED: tuple[EngineName, ...] = ("docker", "podman")


def make_engine(name: str) -> Engine:
    """The engine, sure to work here; for ``auto`` the first that does. Raises BadRequest for an unknown name, EngineUnavailable with
    the reason and the commands that help.
    """
    if name == AUTO:
        return _first()
    engine = _make(name)
    engine.check()
    return engine


def presumed(name: str) -> str:
    """The name that `make_engine` would most likely give its engine, without a trial."""
    return "bubblewrap" if name == AUTO else name


def container_engine(name: str) -> EngineName:
    """``name`` as that of a container engine. Raises BadRequest."""
    for known in CONTAINERS:
        if name == known:
            return known
    raise BadRequest(f"{name!r} is no container engine.", f"Container engines: {', '.join(CONTAINERS)}.")


def _make(name: str) -> Engine:
    if name == "bubblewrap":
        return BubblewrapEngine()
    if name not in CONTAINERS:
        raise BadRequest(f"There is no engine {name!r}.", f"Engines: {', '.join((AUTO, *NAMES))}.")
    engine = container_engine(name)
    # Its module needs a package that may be missing, which this tells first.
    ready_daemon(engine)
    from .docker import DockerEngine

    return DockerEngine(engine)


def _first() -> Engine:
    """The package's bubblewrap, the system's, Docker, Podman. When none works, bubblewrap's reason is the one to act on."""
    try:
        return make_engine("bubblewrap")
    except EngineUnavailable as error:
        reason = error
    others: list[str] = []
    for name in _TRIED:
        try:
            return make_engine(name)
        except EngineUnavailable as error:
            others.append(f"{name}: {error}")
    raise EngineUnavailable(
        reason.message, "\n".join(filter(None, (reason.next_step, "Or use another engine.", *others)))
    )


def probe_containers(wanted: str = AUTO) -> list[Finding]:
    """What ``doctor`` says of the container engines. One that is missing is only wrong when it is the ``wanted`` one."""
    findings: list[Finding] = []
    for name in CONTAINERS:
        try:
            daemon = ready_daemon(name)
        except EngineUnavailable as error:
            # Commands to install what nobody asked for would hide the rest.
            asked = wanted == name or bool(_sockets(name))
            findings.append(
                Finding(name, False if wanted == name else None, error.message, error.next_step if asked else "")
            )
        else:
            findings.append(Finding(name, True, f"{daemon.socket} makes sandboxes: --engine {name}"))
    return findings


def _sockets(name: EngineName) -> list[Path]:
    try:
        return find_sockets(name)
    except EngineUnavailable:
        return []
