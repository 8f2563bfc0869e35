"""How much of the machine a sandbox may use, by the best means that this machine has."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

from ...session.policy import Policy
from ..engine import Tier
from . import cgroup_v1, cgroup_v2, rlimits
from .interface import Hierarchy, Limits, found_here

__all__ = ["Limits", "create", "describe", "tiers"]


def create(policy: Policy, uid: int) -> Limits:
    """Version 2 cgroups where we may write them, else version 1, else resource limits. ``uid`` is the sandbox's on the machine."""
    for _, make in _group_makers(policy):
        with contextlib.suppress(OSError):
            return make()
    return rlimits.create(policy, uid)


def describe() -> str:
    """The means that `create` would take: ``cgroup v2``, ``cgroup v1`` or ``rlimits``."""
    return next((name for name, _ in _group_makers(Policy())), "rlimits")


def tiers() -> Mapping[str, Tier]:
    """What `create` would achieve for memory, processes and cpu."""
    if describe() == "rlimits":
        return rlimits.TIERS
    cpu: Tier = "enforced" if _limits_cpu(found_here()) else "none"
    return {"memory": "enforced", "processes": "enforced", "cpu": cpu}


def _limits_cpu(found: Mapping[str, Hierarchy]) -> bool:
    if (place := cgroup_v2.parent(found)) is not None:
        return cgroup_v2.hands_out(place, {"cpu"})
    return "cpu" in (cgroup_v1.parents(found) or {})


def _group_makers(policy: Policy) -> list[tuple[str, Callable[[], Limits]]]:
    found = found_here()
    makers: list[tuple[str, Callable[[], Limits]]] = []
    if (place := cgroup_v2.parent(found)) is not None:
        makers.append(("cgroup v2", lambda: cgroup_v2.create(place, policy)))
    if (places := cgroup_v1.parents(found)) is not None:
        makers.append(("cgroup v1", lambda: cgroup_v1.create(places, policy)))
    return makers
