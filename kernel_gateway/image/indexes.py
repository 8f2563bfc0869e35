"""Where packages come from: what the machine has set for pip, said in uv's words. No address is written here."""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

# pip's option, uv's variable, and what separates several values there.
_TRANSLATION = (
    ("index-url", "UV_DEFAULT_INDEX", " "),
    ("extra-index-url", "UV_INDEX", " "),
    ("find-links", "UV_FIND_LINKS", ","),
    ("trusted-host", "UV_INSECURE_HOST", " "),
    ("cert", "SSL_CERT_FILE", " "),
    ("proxy", "ALL_PROXY", " "),
    ("timeout", "UV_HTTP_TIMEOUT", " "),
)
_OWN_SETTINGS = (
    "UV_INDEX",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_CONFIG_FILE",
)


def uv_index_settings(
    environment: Mapping[str, str], prefix: Path, system: Path = Path("/etc")
) -> tuple[dict[str, str], list[str]]:
    """Variables and options to add for uv, so that it asks where pip would. Empty when uv has settings of its own.

    ``prefix`` is that of our Python, where pip reads a file too; ``system`` is where the machine's own settings lie.
    """
    if any(environment.get(name) for name in _OWN_SETTINGS) or any(
        _names_index(p) for p in _uv_files(environment, system)
    ):
        return {}, []
    options = pip_options(environment, prefix, system)
    found = {
        name: between.join(options[option].split()) for option, name, between in _TRANSLATION if options.get(option)
    }
    if "UV_INDEX" in found:
        # pip takes the best match of all its indexes, uv by default only looks into the first that knows the name.
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    without_index = ["--no-index"] if "no-index" in options else []
    return {name: value for name, value in found.items() if name not in environment}, without_index


def _names_index(settings: Path) -> bool:
    return settings.is_file() and any(word in settings.read_text(errors="replace") for word in ("index", "find-links"))


def pip_options(environment: Mapping[str, str], prefix: Path, system: Path) -> dict[str, str]:
    """Options as ``pip install`` sees them: files in pip's order, ``[global]`` before ``[install]``, then the environment."""
    parser = configparser.RawConfigParser()
    parser.read(_pip_files(environment, prefix, system))
    options: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            options.update((name.replace("_", "-"), value) for name, value in parser.items(section))
    for name, value in environment.items():
        if name.startswith("PIP_") and value:
            options[name[4:].lower().replace("_", "-")] = value
    if options.get("no-index", "").lower() not in ("1", "true", "yes", "on"):
        options.pop("no-index", None)
    return options


def _pip_files(environment: Mapping[str, str], prefix: Path, system: Path) -> list[Path]:
    home = Path(environment.get("HOME") or "~").expanduser()
    files = [*_config_files(environment, "pip/pip.conf"), system / "pip.conf", home / ".pip" / "pip.conf"]
    files += [_config_home(environment) / "pip" / "pip.conf", prefix / "pip.conf"]
    chosen = environment.get("PIP_CONFIG_FILE")
    # Set to the null device it means: no files at all.
    return [] if chosen == os.devnull else [*files, *([Path(chosen)] if chosen else [])]


def _uv_files(environment: Mapping[str, str], system: Path) -> Iterator[Path]:
    yield from _config_files(environment, "uv/uv.toml")
    yield system / "uv" / "uv.toml"
    yield _config_home(environment) / "uv" / "uv.toml"


def _config_home(environment: Mapping[str, str]) -> Path:
    home = Path(environment.get("HOME") or "~").expanduser()
    return Path(environment.get("XDG_CONFIG_HOME") or home / ".config")


def _config_files(environment: Mapping[str, str], name: str) -> list[Path]:
    folders = (environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    return [Path(folder) / name for folder in reversed(folders)]
