"""Pictures that a person may open: no scripts, no requests, no gigabytes behind a few bytes. Nothing is decoded to find out."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from ..agent.picture_size import read_header
from .outputs import Picture

# A browser that decodes more may take the whole machine's memory.
PIXELS = 100_000_000
_SVG = "image/svg+xml"
# Elements that only draw. Animations are left out: they can set an attribute that links.
_ELEMENTS = frozenset(
    """
    svg g defs symbol use path rect circle ellipse line polyline polygon text tspan textpath image clippath mask marker pattern
    lineargradient radialgradient stop filter title desc metadata style switch view a
    feblend fecolormatrix fecomponenttransfer fecomposite feconvolvematrix fediffuselighting fedisplacementmap fedistantlight fedropshadow
    feflood fefunca fefuncb fefuncg fefuncr fegaussianblur femerge femergenode femorphology feoffset fepointlight fespecularlighting
    fespotlight fetile feturbulence
    """.split()
)
_ADDRESSES = frozenset(("href", "src"))
_OWN_ADDRESS = re.compile(r"\s*(#|data:image/(png|jpeg|gif|webp)[;,])", re.I)
_FOREIGN_STYLE = re.compile(r"@import|expression|url\(\s*['\"]?(?!#|data:image/(png|jpeg|gif|webp)[;,])|\\\\", re.I)


def too_large(picture: Picture) -> str:
    """Such as ``50000 x 50000`` when the header claims more than `PIXELS`, else an empty text."""
    header = read_header(base64.b64decode(picture.data))
    return f"{header.width} x {header.height}" if header is not None and header.pixels > PIXELS else ""


def is_harmless(picture: Picture) -> bool:
    """Whether a program that opens it as a document, as a browser does from a file, only shows a picture."""
    if picture.mime != _SVG:
        return not too_large(picture)
    return _only_draws(base64.b64decode(picture.data))


def _only_draws(svg: bytes) -> bool:
    # Entities of its own could spell anything, or grow without end; instructions may name a style sheet.
    if re.search(rb"<!ENTITY|<!DOCTYPE[^>]*\[|<\?(?!xml\s)", svg, re.I):
        return False
    parser = XMLPullParser(("start", "end"))
    depth_of_metadata = 0
    try:
        parser.feed(svg)
        parser.close()
        events = cast("Iterable[tuple[str, Element]]", parser.read_events())
        for event, element in events:
            name = _local(str(element.tag))
            if name == "metadata":
                depth_of_metadata += 1 if event == "start" else -1
            elif depth_of_metadata == 0 and not _draws(name, element.attrib, element.text if event == "end" else ""):
                return False
    except ParseError:
        return False
    return True


def _draws(name: str, attributes: dict[str, str], text: str | None) -> bool:
    if name not in _ELEMENTS or (name == "style" and _FOREIGN_STYLE.search(text or "")):
        return False
    for key, value in attributes.items():
        attribute = _local(key)
        if attribute.startswith("on") or (attribute in _ADDRESSES and name != "a" and not _OWN_ADDRESS.match(value)):
            return False
        if name == "a" and attribute in _ADDRESSES and not re.match(r"https?://|#", value):
            return False
        if "url(" in value.lower() and _FOREIGN_STYLE.search(value):
            return False
    return True


def _local(name: str) -> str:
    return name.rpartition("}")[2].lower()
