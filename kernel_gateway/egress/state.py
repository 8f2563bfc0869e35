"""What was decided about a session's network while it lived: ``.session/egress.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BadRequest
from .hosts import EVERY, READING, HostRule, Mode


@dataclass
class EgressState:
    """``hosts`` that a person allowed for this session, ``denied`` questions that were answered no, and whether it is cut off."""

    is_cut: bool = False
    hosts: list[HostRule] = field(default_factory=list[HostRule])
    denied: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    @classmethod
    def load(cls, path: Path) -> EgressState:
        """Nothing was decided when there is no file. Raises BadRequest for one that cannot be read: it could hold a cut."""
        try:
            found = json.loads(path.read_bytes())
            denied = {(str(host), str(key)) for host, key in found["denied"]}
            return cls(bool(found["is_cut"]), [HostRule.from_json(h) for h in found["hosts"]], denied)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadRequest(
                f"{path} cannot be read: {error}.", "Remove it to begin anew; a cut is forgotten then."
            ) from error

    def allowed(self, mode: str, configured: Iterable[HostRule]) -> list[HostRule]:
        """All hosts beyond the registries: this session's own, and those of the settings where the session's mode says so."""
        if mode == "none":
            return []
        return [*(configured if mode in ("list", "ask") else ()), *self.hosts]

    def save(self, path: Path) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        hosts, denied = [h.to_json() for h in self.hosts], sorted(self.denied)
        temporary.write_text(json.dumps({"is_cut": self.is_cut, "hosts": hosts, "denied": denied}, indent=2) + "\n")
        temporary.chmod(0o600)
        temporary.replace(path)

    def allow(self, host: str, mode: Mode, methods: Sequence[str] = ()) -> HostRule:
        """Adds to what is allowed there already."""
        known = next((h for h in self.hosts if (h.host, h.mode) == (host, mode)), None)
        wanted = [*(known.methods if known else READING), *methods]
        rule = HostRule(host, mode, (EVERY,) if EVERY in wanted else tuple(dict.fromkeys(wanted)))
        self.hosts = [*(h for h in self.hosts if h is not known), rule]
        self.denied = {(name, key) for name, key in self.denied if name != host}
        return rule
