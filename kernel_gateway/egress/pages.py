"""A registry's pages with all links leading back to us: the simple API of Python packages (PEP 503, 691), and npm's metadata."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import orjson

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "text/html"
ABBREVIATED = "application/vnd.npm.install-v1+json"
PYTHON_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?")
NPM_NAME = re.compile(r"(?:@[a-z0-9~_-][a-z0-9._~-]{0,99}/)?[A-Za-z0-9~_-][A-Za-z0-9._~-]{0,213}")
TARBALL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,250}\.tgz")
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!~-]{0,250}")
_HASH = re.compile(r"(sha256|sha384|sha512|sha1|md5|blake2b)=([0-9a-f]+)")


class BadPage(Exception):
    """An upstream's answer that is not what a registry answers."""


@dataclass(frozen=True)
class FileLink:
    """A file of a project. ``url`` has no fragment."""

    name: str
    url: str
    hashes: Mapping[str, str] = field(default_factory=dict[str, str])
    requires_python: str | None = None
    # The reason, or "" when none is given; None: not yanked.
    yanked: str | None = None
    # Hashes of the metadata file beside it (PEP 658); {} when there is one without a hash; None: there is none.
    metadata: Mapping[str, str] | None = None


def read_simple(body: bytes, content_type: str, base: str) -> list[FileLink]:
    """The files of a project's page, HTML or JSON. Raises BadPage."""
    if content_type.partition(";")[0].strip().endswith("+json"):
        links = _read_json(body, base)
    else:
        parser = _SimplePage(base)
        parser.feed(body.decode("utf-8", "replace"))
        links = parser.links
    return [link for link in links if FILE_NAME.fullmatch(link.name)]


def _read_json(body: bytes, base: str) -> list[FileLink]:
    try:
        files = orjson.loads(body)["files"]
        return [_json_link(file, base) for file in files]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadPage(f"the index answered no page of a project: {error}") from error


def _json_link(file: dict[str, Any], base: str) -> FileLink:
    metadata = file.get("core-metadata", file.get("dist-info-metadata"))
    yanked = file.get("yanked")
    return FileLink(
        str(file["filename"]),
        urldefrag(urljoin(base, str(file["url"])))[0],
        _hashes(file.get("hashes")),
        file.get("requires-python"),
        None if yanked in (None, False) else str(yanked) if isinstance(yanked, str) else "",
        None if metadata in (None, False) else _hashes(metadata),
    )


def _hashes(value: Any) -> dict[str, str]:
    found = value if isinstance(value, dict) else {}
    return {k: v for k, v in found.items() if isinstance(v, str) and _HASH.fullmatch(f"{k}={v}")}


class _SimplePage(HTMLParser):
    """Anchors with their attributes; a ``base`` element counts."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.links: list[FileLink] = []
        self._base = base

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "base" and found.get("href"):
            self._base = urljoin(self._base, found["href"] or "")
        if tag != "a" or not found.get("href"):
            return
        url, fragment = urldefrag(urljoin(self._base, found["href"] or ""))
        metadata = found.get("data-core-metadata", found.get("data-dist-info-metadata"))
        has_metadata = "data-core-metadata" in found or "data-dist-info-metadata" in found
        self.links.append(
            FileLink(
                unquote(urlsplit(url).path.rpartition("/")[2]),
                url,
                dict(_HASH.findall(fragment)),
                found.get("data-requires-python"),
                (found["data-yanked"] or "") if "data-yanked" in found else None,
                dict(_HASH.findall(metadata or "")) if has_metadata else None,
            )
        )


def write_simple(project: str, links: Iterable[FileLink], rewrite: Callable[[str], str], *, as_json: bool) -> bytes:
    """The page for pip; ``rewrite`` turns an upstream address into one of ours."""
    if not as_json:
        return _write_html(project, links, rewrite)
    files: list[dict[str, Any]] = []
    for link in links:
        file: dict[str, Any] = {"filename": link.name, "url": rewrite(link.url), "hashes": dict(link.hashes)}
        if link.requires_python:
            file["requires-python"] = link.requires_python
        if link.yanked is not None:
            file["yanked"] = link.yanked or True
        if link.metadata is not None:
            file["core-metadata"] = dict(link.metadata) or True
        files.append(file)
    return orjson.dumps({"meta": {"api-version": "1.0"}, "name": project, "files": files})


def _write_html(project: str, links: Iterable[FileLink], rewrite: Callable[[str], str]) -> bytes:
    lines = [f"<!DOCTYPE html><html><head><title>{html.escape(project)}</title></head><body>"]
    for link in links:
        fragment = next((f"#{name}={value}" for name, value in sorted(link.hashes.items(), reverse=True)), "")
        attributes = [("href", rewrite(link.url) + fragment)]
        if link.requires_python:
            attributes.append(("data-requires-python", link.requires_python))
        if link.yanked is not None:
            attributes.append(("data-yanked", link.yanked))
        if link.metadata is not None:
            value = next((f"{name}={digest}" for name, digest in link.metadata.items()), "true")
            attributes.append(("data-core-metadata", value))
        shown = " ".join(f'{name}="{html.escape(value)}"' for name, value in attributes)
        lines.append(f"<a {shown}>{html.escape(link.name)}</a><br>")
    return "\n".join([*lines, "</body></html>\n"]).encode()


def rewrite_npm(body: bytes, rewrite: Callable[[str], str]) -> bytes:
    """A package's metadata with its tarball links turned. Raises BadPage."""
    try:
        document = orjson.loads(body)
        for version in document.get("versions", {}).values():
            if isinstance(distribution := version.get("dist"), dict) and "tarball" in distribution:
                distribution["tarball"] = rewrite(str(distribution["tarball"]))
        return orjson.dumps(document)
    except (ValueError, AttributeError, TypeError) as error:
        raise BadPage(f"the registry answered no metadata of a package: {error}") from error
