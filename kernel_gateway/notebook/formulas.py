"""TeX to MathML, which browsers draw without a script; what cannot be read stays as it was written."""

from __future__ import annotations

import html
import re
from xml.etree import ElementTree

from latex2mathml import exceptions
from latex2mathml.converter import convert

_LONGEST = 5000
_UNREADABLE: tuple[type[Exception], ...] = (
    *(e for e in vars(exceptions).values() if isinstance(e, type) and issubclass(e, Exception)),
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    ElementTree.ParseError,
)
_NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"
# What the converter writes for honest TeX. It escapes nothing in \\text, and \\href and \\style are no formulas.
_ELEMENTS = re.compile(
    "math|mrow|mi|mn|mo|mtext|mspace|ms|mfrac|msqrt|mroot|mstyle|merror|mpadded|mphantom|menclose|msub|msup|msubsup|"
    "munder|mover|munderover|mmultiscripts|mprescripts|none|mtable|mtr|mtd|mlabeledtr"
)
_ATTRIBUTES = re.compile(
    "display|displaystyle|scriptlevel|stretchy|fence|form|separator|accent|accentunder|movablelimits|lspace|rspace|"
    "mathvariant|mathcolor|width|height|depth|linethickness|columnalign|rowspacing|columnspacing|columnlines|rowlines|"
    "notation|minsize|maxsize"
)


def mathml(tex: str, *, block: bool = False) -> str:
    """Safe markup for a formula without its delimiters."""
    try:
        if len(tex) > _LONGEST:
            raise ValueError("too long")
        root = ElementTree.fromstring(convert(tex.strip(), display="block" if block else "inline"))
        _check(root)
    except _UNREADABLE:
        return f'<code class="tex">{html.escape(tex.strip())}</code>'
    ElementTree.register_namespace("", _NAMESPACE[1:-1])
    return ElementTree.tostring(root, encoding="unicode")


def _check(root: ElementTree.Element) -> None:
    for element in root.iter():
        known = _ELEMENTS.fullmatch(element.tag.removeprefix(_NAMESPACE))
        if not known or not all(_ATTRIBUTES.fullmatch(name) for name in element.attrib):
            raise ValueError("not a formula")
