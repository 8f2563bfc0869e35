"""Markdown to safe HTML: no raw HTML passes, no address but web links, pictures only from the notebook itself."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from mistune.renderers.html import HTMLRenderer
from nbconvert.filters.markdown_mistune import MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from .formulas import mathml


def _no_picture(path: str) -> tuple[str, str] | None:
    return None


@dataclass(frozen=True)
class Beside:
    """What lies beside a page: whether ``workspace/`` does, and the mime type and base64 of the picture at a path, or None.

    ``anchors``: where on the page itself a file such as ``workspace/a.csv`` is to be had.
    """

    links: bool = False
    picture: Callable[[str], tuple[str, str] | None] = _no_picture
    anchors: Mapping[str, str] = field(default_factory=dict[str, str])


def render(source: str, beside: Beside) -> str:
    """Safe markup for markdown with formulas. A picture that is not beside the page becomes its description."""
    return MarkdownWithMath(renderer=_Renderer(beside)).render(source)


class _Renderer(HTMLRenderer):
    def __init__(self, beside: Beside) -> None:
        super().__init__(escape=True, allow_harmful_protocols=False)
        self._beside = beside

    def text(self, text: str) -> str:
        """Character references of the source count, as in any markdown."""
        return html.escape(html.unescape(text), quote=False)

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        """One level down: the page's title is its only ``h1``."""
        return super().heading(text, min(6, level + 1), **attrs)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        if anchor := self._beside.anchors.get(unquote(html.unescape(url))):
            return f'<a href="{html.escape(anchor)}">{text}</a>'
        allowed = ("https://", "http://", "mailto:", "#", *(("workspace/", "outputs/") if self._beside.links else ()))
        if not url.startswith(allowed) or ".." in url.split("/"):
            return text
        return f'<a href="{html.escape(html.unescape(url))}" rel="noreferrer noopener">{text}</a>'

    def image(self, text: str, url: str, title: str | None = None) -> str:
        found = self._beside.picture(unquote(url))
        description = html.escape(html.unescape(text))
        if found is None:
            return f'<span class="hint">[picture: {description or html.escape(url)}]</span>'
        return f'<img class="picture" alt="{description}" src="data:{found[0]};base64,{found[1]}">'

    def block_code(self, code: str, info: str | None = None) -> str:
        try:
            lexer = get_lexer_by_name((info or "text").split()[0] if (info or "text").split() else "text")
        except ClassNotFound:
            lexer = get_lexer_by_name("text")
        formatter: HtmlFormatter[str] = HtmlFormatter(nowrap=True)
        return f'<pre class="code">{highlight(code, lexer, formatter)}</pre>\n'

    def block_math(self, body: str) -> str:
        return f'<span class="formula">{mathml(body, block=True)}</span>'

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def latex_environment(self, name: str, body: str) -> str:
        tex = "\\begin{%s}%s\\end{%s}" % (name, body, name)  # noqa: UP031
        return f'<span class="formula">{mathml(tex, block=True)}</span>'
