"""Where this machine takes its Debian packages from, as settings for a system that is made from the same place."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import ImageUnavailable

_FOLDER = Path("/etc/apt")
_REACHING = tuple(
    f"Acquire::{name}" for name in ("http::", "https::", "ftp::", "Retries", "Check-Valid-Until", "Force", "proxy")
)


@dataclass(frozen=True)
class Sources:
    """``text`` is a list of sources in apt's ``kind`` of format (``list`` or ``sources``); ``settings`` is apt.conf's Acquire part."""

    suite: str
    kind: str
    text: str
    settings: str


def own() -> Sources:
    """The release's own archives alone: what a person added for other programs stays out. Raises ImageUnavailable."""
    suite = _suite()
    found = sorted(_entries(suite), key=lambda entry: entry[0])
    for kind in ("sources", "list"):
        if texts := [text for of, text in found if of == kind]:
            separator = "\n\n" if kind == "sources" else "\n"
            return Sources(suite, kind, separator.join(texts) + "\n", _settings())
    raise ImageUnavailable(
        f"apt has no source for {suite} in /etc/apt.", "Add the release's own archive to /etc/apt/sources.list."
    )


def _suite() -> str:
    try:
        values = platform.freedesktop_os_release()
        return values.get("VERSION_CODENAME") or values["UBUNTU_CODENAME"]
    except (OSError, KeyError):
        raise ImageUnavailable(
            "/etc/os-release does not name this machine's release.", "Use Debian or Ubuntu, or --engine bubblewrap."
        ) from None


def _entries(suite: str, folder: Path = _FOLDER) -> Iterator[tuple[str, str]]:
    for path in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        text = path.read_text() if path.is_file() else ""
        if path.suffix == ".sources":
            yield from (("sources", stanza) for stanza in deb822(text, suite))
        elif path.suffix == ".list":
            yield from (("list", line) for line in one_line(text, suite))


def deb822(text: str, suite: str) -> Iterator[str]:
    """The stanzas of a ``.sources`` file that are of the release itself."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in "\n".join(lines).split("\n\n"):
        fields = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in stanza.splitlines())}
        suites, components = fields.get("suites", "").split(), fields.get("components", "").split()
        wanted = suites and _own(suite).issuperset(suites) and "main" in components
        if wanted and "deb" in fields.get("types", "").split() and fields.get("enabled", "yes") != "no":
            yield stanza.strip()


def one_line(text: str, suite: str) -> Iterator[str]:
    """The lines of a ``.list`` file that are of the release itself."""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words[:1] != ["deb"] or len(words) < 4:
            continue
        end = next((i for i, word in enumerate(words) if word.endswith("]")), 0) if words[1].startswith("[") else 0
        if len(words) > end + 3 and words[end + 2] in _own(suite) and "main" in words[end + 3 :]:
            yield " ".join(words)


def _own(suite: str) -> set[str]:
    return {suite, f"{suite}-updates", f"{suite}-security", f"{suite}/updates"}


def _settings() -> str:
    """How this machine reaches its archives: proxies, certificates, retries."""
    command = ["apt-config", "dump", "--no-empty", "--format", '%f "%v";%n', "Acquire"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "".join(f"{line}\n" for line in done.stdout.splitlines() if line.startswith(_REACHING))
