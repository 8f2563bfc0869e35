"""Which pictures are put where a person may open them."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.notebook.harmless import is_harmless, too_large
from kernel_gateway.notebook.outputs import Picture

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'


def svg(body: str) -> Picture:
    return Picture("image/svg+xml", base64.b64encode(body.encode()).decode())


DRAWING = (
    '<?xml version="1.0" encoding="utf-8" standalone="no"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" '
    '"http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">\n'
    + HEAD
    + '<metadata><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:x rdf:resource="http://purl.org/dc"/></rdf:RDF>'
    '</metadata><defs><style type="text/css">*{stroke-linejoin: round}</style><clipPath id="p"><rect width="1"/></clipPath></defs>'
    '<g clip-path="url(#p)"><use xlink:href="#m" x="1"/><path d="M 0 0" style="fill: url(#p)"/>'
    '<image href="data:image/png;base64,AA=="/></g></svg>'
)


def test_what_plotting_libraries_draw_is_harmless() -> None:
    assert is_harmless(svg(DRAWING))


@pytest.mark.parametrize(
    "body",
    [
        "<script>alert(1)</script>",
        '<x:script xmlns:x="http://www.w3.org/2000/svg">alert(1)</x:script>',
        "<foreignObject><p xmlns='http://www.w3.org/1999/xhtml'/></foreignObject>",
        "<rect onclick='alert(1)'/>",
        "<rect ONload='alert(1)'/>",
        "<image href='//evil.example/x.png'/>",
        "<image xlink:href='file:///etc/passwd'/>",
        "<use href='other.svg#x'/>",
        "<a href='javascript:alert(1)'><rect/></a>",
        "<a xlink:href='&#106;avascript:alert(1)'><rect/></a>",
        "<style>@import 'x.css';</style>",
        "<style>rect{fill:url(//evil.example/x)}</style>",
        "<rect style='fill:url(&quot;//evil.example&quot;)'/>",
        "<rect fill='url(http://evil.example/#x)'/>",
        "<set attributeName='href' to='javascript:alert(1)'/>",
        "<animate attributeName='x'/>",
        "<image href='data:image/svg+xml,%3Csvg%3E'/>",
        "<iframe src='x'/>",
        "<rect>",
    ],
)
def test_what_could_act_or_fetch_is_not(body: str) -> None:
    assert not is_harmless(svg(f"{HEAD}{body}</svg>"))


@pytest.mark.parametrize(
    "whole",
    [
        '<!DOCTYPE svg [<!ENTITY a "x">]><svg>&a;</svg>',
        '<?xml-stylesheet href="//evil.example/x.css"?><svg/>',
        "no picture",
        "",
        "<html><svg/></html>",
    ],
)
def test_neither_are_documents_of_another_kind(whole: str) -> None:
    assert not is_harmless(svg(whole))


def test_a_picture_that_claims_gigabytes_is_told_by_its_header() -> None:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", 50_000, 50_000)
    picture = Picture("image/png", base64.b64encode(head).decode())
    assert (too_large(picture), is_harmless(picture)) == ("50000 x 50000", False)


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    encoded = base64.b64encode(data).decode()
    for mime in ("image/png", "image/svg+xml", "image/webp"):
        is_harmless(Picture(mime, encoded))
