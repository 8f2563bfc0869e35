"""Ids of a notebook's cells."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_VALID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Ids:
    """Cell ids: valid, unique, and the same for the same sequence of wishes."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._reserved: set[str] = set()
        self._next: dict[str, int] = {}

    def take(self, wanted: str) -> str:
        return self.take_group(wanted, ("",))[0]

    def take_group(self, wanted: str, suffixes: Iterable[str]) -> list[str]:
        """One id with each suffix. ``wanted`` alone is kept as it is whenever it can be, and taken over where it was reserved."""
        base = _valid(wanted)
        return [self._free(base[:48] + suffix) if suffix else self._own(base) for suffix in suffixes]

    def reserve(self, wanted: str) -> str:
        """An id that nobody else gets, but who asks for just this one."""
        found = self._free(_valid(wanted))
        self._reserved.add(found)
        return found

    def _own(self, base: str) -> str:
        if base in self._reserved:
            self._reserved.remove(base)
            return base
        return self._free(base)

    def _free(self, wanted: str) -> str:
        found, number = wanted, self._next.get(wanted, 2)
        while found in self._taken:
            found = f"{wanted[:52]}-{number}"
            number += 1
        self._next[wanted] = number
        self._taken.add(found)
        return found


def _valid(wanted: str) -> str:
    return wanted if _VALID.fullmatch(wanted) else _slug(wanted)


def _slug(wanted: str) -> str:
    safe = re.sub(r"[^a-zA-Z0-9_-]+", "-", wanted)[:40].strip("-")
    return f"{safe or 'cell'}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
