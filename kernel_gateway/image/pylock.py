"""An image's lock as a standard one (PEP 751): made for the notebook, and read again to build the image it speaks of.

It names files by ``wheels/<file name>`` and SHA-256, never by an address: which index has them is the reader's affair.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

from ..errors import BadRequest

# A lock of a thousand packages has half of it.
LOCK_BYTES = 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.!+_-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ADDRESS = re.compile(r'\b(?:url|path) = "(?:[^"]*/)?([^"/]+)"')
_DROPPED = re.compile(r'^index = ".*"\n|upload-time = [^,}\n]+, ', re.MULTILINE)


@dataclass(frozen=True)
class Pinned:
    """One package: exactly this version, from a wheel with one of these SHA-256s."""

    name: str
    version: str
    sha256: Sequence[str]


def without_addresses(lock: str) -> str:
    """A lock as uv writes it, less where the files are to be had and when they were put there."""
    return _ADDRESS.sub(lambda found: f'path = "wheels/{unquote(found[1])}"', _DROPPED.sub("", lock))


def read_pylock(text: str) -> list[Pinned]:
    """What a lock pins. It may be anybody's: names, versions and hashes are checked. Raises BadRequest."""
    try:
        found = tomllib.loads(text) if len(text) <= LOCK_BYTES else {}
        pinned = list(_pinned(found.get("packages")))
    except (tomllib.TOMLDecodeError, RecursionError, TypeError, KeyError, AttributeError) as error:
        raise BadRequest(f"The lock cannot be read: {str(error)[:200] or type(error).__name__}.") from None
    if not pinned:
        raise BadRequest("The lock names no packages.")
    return pinned


def _pinned(packages: Any) -> Iterator[Pinned]:
    for package in cast("list[Mapping[str, Any]]", packages or []):
        name, version = str(package["name"]), str(package["version"])
        hashes = [str(wheel["hashes"]["sha256"]) for wheel in package["wheels"]]
        valid = _NAME.fullmatch(name) and _VERSION.fullmatch(version) and all(_SHA256.fullmatch(h) for h in hashes)
        if not valid or not hashes:
            raise TypeError(f"{name[:100]!r} is not pinned by name, version and SHA-256")
        yield Pinned(name, version, hashes)


def requirements(pinned: Sequence[Pinned]) -> str:
    """The same as a requirements file with hashes."""
    lines = (
        " \\\n    ".join([f"{p.name}=={p.version}", *(f"--hash=sha256:{h}" for h in sorted(set(p.sha256)))])
        for p in sorted(pinned, key=lambda p: p.name.lower())
    )
    return "\n".join(lines) + "\n"
