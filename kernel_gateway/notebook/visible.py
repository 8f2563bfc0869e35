"""What of a cell a person may edit: its text, its attachments, and the part of its metadata that is not ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from .outputs import mapping, mime_bundle, plain, sequence, text

CELL_TYPES = ("code", "markdown", "raw")
# Facts, and a mark that Lab sets by itself.
_NOT_EDITED = ("kernel_gateway", "execution", "trusted")
# nbconvert copies raw cells without a type into its HTML as they are.
_RAW_TYPE = "text/plain"


def source_of(value: Any) -> str:
    """A source, which files may hold in lines."""
    lines = cast("list[Any]", value) if isinstance(value, list) else [value]
    return "".join(text(line) for line in lines)


def visible_metadata(metadata: Any, cell_type: str) -> dict[str, Any]:
    """The part of a cell's metadata that is a person's, as nbformat takes it; what it does not take is left out."""
    found = {k: v for k, v in plain(mapping(metadata)).items() if k not in _NOT_EDITED and _is_valid(k, v)}
    if "tags" in found:
        tags = [t for t in sequence(found["tags"]) if isinstance(t, str) and t and "," not in t and _is_line(t)]
        found["tags"] = list(dict.fromkeys(tags))
    if cell_type == "raw":
        return {"format": found.get("raw_mimetype", _RAW_TYPE), "raw_mimetype": _RAW_TYPE, **found}
    return {k: v for k, v in found.items() if k not in ("format", "raw_mimetype")}


def _is_valid(key: str, value: Any) -> bool:
    if key == "collapsed":
        return isinstance(value, bool)
    if key == "scrolled":
        return isinstance(value, bool) or value == "auto"
    if key == "tags":
        return isinstance(value, list)
    if key == "jupyter":
        return isinstance(value, dict)
    if key == "name":
        return isinstance(value, str) and _is_line(value)
    return key not in ("format", "raw_mimetype") or isinstance(value, str)


def _is_line(value: str) -> bool:
    """A line break is read differently by nbformat's two validators."""
    return len(value.splitlines()) == 1 and not value.endswith(("\n", "\r"))


def attachments_of(value: Any, cell_type: str) -> dict[str, dict[str, Any]]:
    """Attachments as nbformat takes them: none for a code cell."""
    if cell_type == "code":
        return {}
    found: Mapping[Any, Any] = mapping(value)
    return {text(name): mime_bundle(mapping(bundle)) for name, bundle in found.items()}
