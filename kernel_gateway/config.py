"""Settings: flag > environment > ``config.toml`` > default, and where each value came from.

``docs/configuration.md`` describes each one; a test holds it against `SETTINGS`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeGuard

from .egress.hosts import HostRule, checked_hosts
from .errors import BadRequest
from .image.store import default_root
from .session.policy import Policy

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

ENGINES = ("auto", "bubblewrap", "docker", "gvisor", "podman")
EGRESS = ("none", "registries", "list", "ask")
DEFAULT_MODEL = "claude-opus-5-5"
PRICE_KEYS = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
_ENVIRONMENT = "CELL_GATEWAY_"
_SIZE = re.compile(r"(\d+(?:[._]\d+)*)\s*(?:([kKmMgGtT])i?)?[bB]?")
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Setting:
    """``parse`` takes what TOML, the environment or a flag holds and raises ValueError; ``accepts`` says in words what
    it takes.
    """

    name: str
    accepts: str
    parse: Callable[[Any], Any]
    default: Callable[[], Any]

    @property
    def variable(self) -> str:
        return _ENVIRONMENT + self.name.upper().replace(".", "_")


@dataclass(frozen=True)
class Value:
    """A value and its source: a flag, an environment variable, a file with its key, or ``default``."""

    value: Any
    source: str


def parse_size(raw: Any) -> int:
    """Bytes from a number or from text such as ``9 GB`` (1 GB = 1024³ bytes). Raises ValueError."""
    if _is_number(raw):
        return int(_not_negative(raw))
    match = _SIZE.fullmatch(str(raw).strip())
    if match is None or isinstance(raw, bool):
        raise ValueError(raw)
    factor = 1024 ** ("kmgt".index(match[2].lower()) + 1) if match[2] else 1
    return int(float(match[1].replace("_", "")) * factor)


def parse_seconds(raw: Any) -> float:
    """Seconds from a number or from text such as ``30 min`` or ``30d``. Raises ValueError."""
    if _is_number(raw):
        return float(_not_negative(raw))
    match = _TIME.fullmatch(str(raw).strip())
    if match is None or isinstance(raw, bool):
        raise ValueError(raw)
    return float(match[1]) * _SECONDS[match[2] or "s"]


def parse_retention(raw: Any) -> float | None:
    """Seconds, or None for ever."""
    return None if raw == "forever" else parse_seconds(raw)


def _is_number(raw: Any) -> TypeGuard[int | float]:
    return isinstance(raw, (int, float)) and not isinstance(raw, bool)


def _not_negative(value: Any) -> Any:
    if not 0 <= value < float("inf"):
        raise ValueError(value)
    return value


def _count(raw: Any) -> int:
    if isinstance(raw, (bool, float)):
        raise ValueError(raw)
    return int(_not_negative(int(raw)))


def _number(raw: Any) -> float:
    if isinstance(raw, bool):
        raise ValueError(raw)
    value = float(raw)
    if not 0 < value < float("inf"):
        raise ValueError(raw)
    return value


def _text(raw: Any) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError(raw)
    return raw


def _one_of(*choices: str) -> Callable[[Any], str]:
    def parse(raw: Any) -> str:
        if raw not in choices:
            raise ValueError(raw)
        return str(raw)

    return parse


def _positive(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def parse_positive(raw: Any) -> Any:
        if not (value := parse(raw)):
            raise ValueError(raw)
        return value

    return parse_positive


_SIZES = "a size such as 9 GB, or bytes"
_TIMES = "a time such as 300, 5 min or 1 h"
_IDLE = "a time such as 30 min or 24 h, or 0 for never"
_LIMITS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "memory": (_SIZES, _positive(parse_size)),
    "processes": ("a whole number", _positive(_count)),
    "cpus": ("a number above 0", _number),
    "disk": (_SIZES, _positive(parse_size)),
    "upload": (_SIZES, parse_size),
    "cell_timeout": (_TIMES, _positive(parse_seconds)),
    "cell_timeout_max": (_TIMES, _positive(parse_seconds)),
    "idle_freeze": (_IDLE, parse_seconds),
    "idle_stop": (_IDLE, parse_seconds),
    "output_kept": (_SIZES, parse_size),
    "output_whole": (_SIZES, parse_size),
    "egress": ("one of: " + ", ".join(EGRESS), _one_of(*EGRESS)),
    "ask_timeout": (_TIMES, _positive(parse_seconds)),
}


def _setting_of(field: str) -> str:
    """The setting that a field of `Policy` is set by."""
    return field.replace("_", ".", 1) if field.startswith("idle_") else f"limits.{field}"


def _limit(name: str) -> Setting:
    accepts, parse = _LIMITS[name]
    return Setting(_setting_of(name), accepts, parse, lambda: getattr(Policy.default(), name))


SETTINGS: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("model", "the name of a model", _text, lambda: DEFAULT_MODEL),
        Setting("engine", "one of: " + ", ".join(ENGINES), _one_of(*ENGINES), lambda: "auto"),
        Setting("image", "the name of an image", _text, lambda: "default"),
        Setting("retention", "a time such as 30d, or forever", parse_retention, lambda: None),
        Setting("pool.size", "a whole number", _count, lambda: 1),
        *(_limit(f.name) for f in fields(Policy)),
    )
}


@dataclass(frozen=True)
class Settings:
    """Everything that is set, each with its source. Iterating gives ``(name, Value)`` in the order of the
    documentation.
    """

    data: Path
    images: Path
    file: Path
    values: Mapping[str, Value]
    # US dollars a million tokens, by model and kind; see `agent.pricing`.
    prices: Mapping[str, Mapping[str, float]]
    # Hosts that sessions with egress ``list`` or ``ask`` may reach, by name; headers in them are secrets.
    egress_hosts: Mapping[str, HostRule] = field(default_factory=dict[str, HostRule])

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        return iter(self.values.items())

    def __getitem__(self, name: str) -> Any:
        return self.values[name].value

    @property
    def policy(self) -> Policy:
        return Policy(**{f.name: self[_setting_of(f.name)] for f in fields(Policy)})


def load_settings(flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """``flags`` by setting name, None where not given. Raises BadRequest that names file, key and what is accepted."""
    environ = os.environ if environ is None else environ
    data, file = data_folder(environ), config_file(environ)
    found, prices, hosts = _read_file(file)
    values = {"data": data, "images": _images_folder(environ), "config": Value(file, "default")}
    for setting in SETTINGS.values():
        values[setting.name] = _resolve(setting, flags or {}, environ, found, file)
    for model, price in prices.items():
        values[f"prices.{model}"] = Value(price, str(file))
    for host, rule in hosts.items():
        values[f"egress.hosts.{host}"] = Value(rule.described(), str(file))
    return Settings(data.value, values["images"].value, file, values, prices, hosts)


def data_folder(environ: Mapping[str, str]) -> Value:
    """Where sessions are kept: ``$CELL_GATEWAY_DATA``, else the platform's place for a user's data."""
    if raw := environ.get("CELL_GATEWAY_DATA"):
        return Value(Path(raw).expanduser().absolute(), "CELL_GATEWAY_DATA")
    base = environ.get("XDG_DATA_HOME")
    path = Path(base or "~/.local/share").expanduser().absolute() / "cell-gateway"
    return Value(path, "XDG_DATA_HOME" if base else "default")


def config_file(environ: Mapping[str, str]) -> Path:
    """In the data folder when that was chosen by ``$CELL_GATEWAY_DATA``, else in the platform's place for a user's
    settings.
    """
    if raw := environ.get("CELL_GATEWAY_DATA"):
        return Path(raw).expanduser().absolute() / "config.toml"
    base = environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "cell-gateway" / "config.toml"


def _images_folder(environ: Mapping[str, str]) -> Value:
    return Value(default_root(environ), "CELL_GATEWAY_IMAGES" if environ.get("CELL_GATEWAY_IMAGES") else "default")


def _resolve(
    setting: Setting, flags: Mapping[str, Any], environ: Mapping[str, str], found: Mapping[str, Any], file: Path
) -> Value:
    if (raw := flags.get(setting.name)) is not None:
        return _parsed(setting, raw, f"--{setting.name.rpartition('.')[2]}")
    if raw := environ.get(setting.variable):
        return _parsed(setting, raw, setting.variable)
    if setting.name in found:
        return _parsed(setting, found[setting.name], f"{file}{_line_of(file, setting.name)}")
    return Value(setting.default(), "default")


def _parsed(setting: Setting, raw: Any, source: str) -> Value:
    try:
        return Value(setting.parse(raw), source)
    except (ValueError, TypeError, OverflowError):
        raise BadRequest(
            f"{source}: {setting.name} = {raw!r} is not accepted.", f"It takes {setting.accepts}."
        ) from None


def _read_file(file: Path) -> tuple[dict[str, Any], dict[str, dict[str, float]], dict[str, HostRule]]:
    try:
        raw = file.read_bytes()
        mode = file.stat().st_mode
    except FileNotFoundError:
        return {}, {}, {}
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror}.") from error
    if mode & 0o022:
        raise BadRequest(f"{file} can be changed by others.", f"Make it yours alone: chmod 600 {file}")
    try:
        tables = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"{file} is not valid TOML: {error}.", "See docs/configuration.md for an example.") from error
    prices, egress = tables.pop("prices", {}), tables.pop("egress", {})
    return _flat(tables, file), _checked_prices(prices, file), _egress_hosts(egress, file, mode)


def _egress_hosts(egress: Any, file: Path, mode: int) -> dict[str, HostRule]:
    if not isinstance(egress, dict) or not egress.keys() <= {"hosts"}:
        raise BadRequest(f"{file}: [egress] holds hosts only.", "The mode is limits.egress; see docs/egress.md.")
    hosts = checked_hosts(egress.get("hosts", {}), str(file))
    if mode & 0o077 and any(rule.headers for rule in hosts.values()):
        raise BadRequest(f"{file} holds secret headers and can be read by others.", f"Make it yours: chmod 600 {file}")
    return hosts


def _flat(tables: dict[str, Any], file: Path) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, dict) and key in ("limits", "pool", "idle"):
            flat |= {f"{key}.{below}": v for below, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
        else:
            flat[key] = value
    for name in flat:
        if name not in SETTINGS:
            known = ", ".join([*SETTINGS, "prices.<model>"])
            raise BadRequest(f"{file}{_line_of(file, name)}: there is no setting {name!r}.", f"There are: {known}.")
    return flat


def _checked_prices(prices: Any, file: Path) -> dict[str, dict[str, float]]:
    accepts = f"It takes {', '.join(PRICE_KEYS)}: US dollars a million tokens; input and output must be there."
    checked: dict[str, dict[str, float]] = {}
    entries: dict[str, Any] = prices if isinstance(prices, dict) else {"": prices}
    for model, price in entries.items():
        if not _is_price(price):
            raise BadRequest(
                f"{file}{_line_of(file, f'prices.{model}')}: prices.{model} = {price!r} is not accepted.", accepts
            )
        checked[model] = {k: float(v) for k, v in price.items()}
    return checked


def _is_price(price: Any) -> TypeGuard[dict[str, int | float]]:
    if not isinstance(price, dict) or not {"input", "output"} <= price.keys() <= set(PRICE_KEYS):
        return False
    return all(_is_number(v) and 0 <= v < float("inf") for v in price.values())  # pyright: ignore[reportUnknownVariableType]


def _line_of(file: Path, name: str) -> str:
    """``:12`` for the line that sets a key, as far as it can be found by its text."""
    table, _, key = name.partition(".") if name.startswith(("limits.", "pool.", "idle.", "prices.")) else ("", "", name)
    section, pattern = "", re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
    for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
        if header := re.match(r"\s*\[([^\]]*)\]", line):
            section = header[1].replace('"', "").replace("'", "").strip()
            if section == name:
                return f":{number}"
        elif section == table and pattern.match(line):
            return f":{number}"
    return ""
