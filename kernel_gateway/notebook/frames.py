"""HTML that a kernel made, shut in a frame: no scripts, no requests, no reach into the page around it.

Three walls: what could start something is taken out here, the frame is sandboxed without an origin, and the page's Content Security
Policy, which the frame inherits, allows nothing but inline styles, pictures as data, and the two scripts below by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from html.parser import HTMLParser

# Tells the page how high the frame's content is.
FRAME_SCRIPT = (
    "addEventListener('load',function(){var b=document.body;function tell(){parent.postMessage("
    "{cellGatewayHeight:Math.ceil(b.getBoundingClientRect().height)+b.offsetHeight-b.clientHeight},'*')}"
    "new ResizeObserver(tell).observe(b);tell()})"
)
PAGE_SCRIPT = (
    "addEventListener('message',function(e){var h=e.data&&e.data.cellGatewayHeight;if(typeof h!=='number'||!(h>0))return;"
    "document.querySelectorAll('iframe').forEach(function(f){if(f.contentWindow===e.source)"
    "f.style.height=Math.min(h,640)+'px'})});"
    # A browser may refuse a link of megabytes: such a file is saved from memory.
    "addEventListener('click',function(e){var a=e.target.closest&&e.target.closest('a[download]');"
    "var d=a&&a.getAttribute('href');if(!d||d.length<1e6||d.slice(0,5)!=='data:')return;e.preventDefault();"
    "var s=atob(d.slice(d.indexOf(',')+1)),b=new Uint8Array(s.length);for(var i=0;i<s.length;i++)b[i]=s.charCodeAt(i);"
    "var l=document.createElement('a');l.download=a.download;l.href=URL.createObjectURL(new Blob([b]));l.click();"
    "setTimeout(function(){URL.revokeObjectURL(l.href)},60000)})"
)
_FRAME_STYLE = (
    ":root{color-scheme:light dark}body{margin:0;overflow-x:auto;font:13px/1.45 system-ui,sans-serif}"
    "table{border-collapse:collapse;border:0;font-variant-numeric:tabular-nums}th,td{padding:.3em .7em;text-align:right;"
    "border:0;border-bottom:1px solid #8883}thead th{border-bottom:1px solid #8888}p{margin:.5em 0}img,svg{max-width:100%}"
)
_LIGHT_STYLE = ":root{color-scheme:light;background:#fff}body{padding:8px;color:#111}"
_DROPPED = (
    "script",
    "link",
    "meta",
    "base",
    "iframe",
    "frame",
    "frameset",
    "object",
    "embed",
    "applet",
    "title",
    "noscript",
)
_WITH_CONTENT = ("script", "iframe", "object", "applet", "title", "noscript", "frameset")
_SHOWN = ("img", "svg", "canvas", "table", "hr", "input", "button", "video", "audio", "progress", "meter")
# The page's policy stops requests all the same; what is never tried is in no log.
_FETCHED = ("src", "srcset", "poster", "background", "data", "action", "formaction", "href", "xlink:href")
_OWN = re.compile(r"\s*(#|data:)", re.I)
_FOREIGN_STYLE = re.compile(r"@import[^;]*;?|(?:url|image-set|image)\(\s*['\"]?(?!\s*(?:#|data:))[^)]*\)?", re.I)
_COLOURED = re.compile(r"(?<![-\w])(color|background(-color)?)\s*[:=]", re.I)


def policy() -> str:
    """The page's Content Security Policy."""
    scripts = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'"
        for s in (PAGE_SCRIPT, FRAME_SCRIPT)
    )
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:; font-src data:; media-src data:; "
        "frame-src 'none'; base-uri 'none'; form-action 'none'"
    )


def frame(content: str) -> str | None:
    """A frame that shows the content; None when nothing visible is left of it without its scripts."""
    cleaner = _Cleaner()
    cleaner.feed(content)
    cleaner.close()
    if not cleaner.shows_something:
        return None
    # Colours that were chosen for a white page stay on one.
    light = _LIGHT_STYLE if _COLOURED.search(content) else ""
    document = (
        f"<!doctype html><meta charset=utf-8><style>{_FRAME_STYLE}{light}</style>"
        f"<body>{''.join(cleaner.parts)}<script>{FRAME_SCRIPT}</script>"
    )
    height = min(480, max(60, 30 * content.count("<tr") + 24))
    return (
        f'<iframe class="frame" sandbox="allow-scripts" referrerpolicy="no-referrer" title="HTML output" '
        f'style="height:{height}px" srcdoc="{html.escape(document)}"></iframe>'
    )


class _Cleaner(HTMLParser):
    """Writes the HTML again without what the frame must not hold."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []
        self.shows_something = False
        self._inside: list[str] = []
        self._raw = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._inside or tag in _DROPPED:
            if tag in _WITH_CONTENT:
                self._inside.append(tag)
            return
        self._raw = tag == "style"
        self.shows_something = self.shows_something or tag in _SHOWN
        # Only the closing tag of a plain name can follow: what the parser took for a name is not written unless it is one.
        if re.fullmatch(r"[a-z][a-z0-9:-]*", tag):
            self.parts.append(f"<{tag}{''.join(_attribute(tag, k, v) for k, v in attrs)}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _WITH_CONTENT:
            return
        self.handle_starttag(tag, attrs)
        if not self._inside and tag not in _DROPPED and tag not in ("br", "hr", "img", "input", "col", "wbr"):
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside:
            if tag == self._inside[-1]:
                self._inside.pop()
            return
        self._raw = False
        if tag not in _DROPPED and re.fullmatch(r"[a-z][a-z0-9:-]*", tag):
            self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if self._inside:
            return
        if self._raw:
            self.parts.append(_FOREIGN_STYLE.sub("none", data.replace("<", "")))
        else:
            self.shows_something = self.shows_something or bool(data.strip())
            self.parts.append(html.escape(data, quote=False))

    def handle_entityref(self, name: str) -> None:
        self._reference(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._reference(f"&#{name};")

    def _reference(self, written: str) -> None:
        if not self._inside:
            self.shows_something = True
            self.parts.append(written)


def _attribute(tag: str, name: str, value: str | None) -> str:
    if (
        name.startswith("on")
        or name in ("srcdoc", "ping", "http-equiv")
        or not re.fullmatch(r"[a-z][a-z0-9:_-]*", name)
        or (name in _FETCHED and not _may_stay(tag, name, value or ""))
    ):
        return ""
    if value is not None and "(" in value:
        value = _FOREIGN_STYLE.sub("none", value)
    return f" {name}" if value is None else f' {name}="{html.escape(value)}"'


def _may_stay(tag: str, name: str, value: str) -> bool:
    """An address that is the document's own, or a link that somebody would have to press."""
    if name in ("href", "xlink:href") and tag == "a":
        return bool(re.match(r"\s*(https?://|mailto:|#)", value, re.I))
    return (name == "srcset" and "//" not in value) or bool(_OWN.match(value))
