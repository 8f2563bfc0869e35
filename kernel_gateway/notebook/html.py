"""A notebook as one HTML file to send to somebody: nothing in it is fetched, nothing a kernel made can act (P5)."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from typing import Any, cast
from urllib.parse import quote, unquote

from markupsafe import Markup
from nbconvert.exporters.templateexporter import TemplateExporter
from nbconvert.filters.ansi import ansi2html
from nbformat import from_dict
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import BashLexer, JavascriptLexer, PythonLexer, TextLexer

from . import frames
from .formulas import mathml
from .harmless import too_large
from .markdown import human_bytes
from .outputs import mapping, picture_of, sequence, text
from .prose import Beside, render
from .render import RAW_EXITS, SETUP_TAG

# Of a longer text the page shows so many characters of the beginning and of the end; the notebook has it all.
HEAD, TAIL = 60_000, 20_000
_MAGICS = {
    "bash": BashLexer,
    "sh": BashLexer,
    "node": JavascriptLexer,
    "javascript": JavascriptLexer,
    "js": JavascriptLexer,
}
_EXITS = {
    "error": "error",
    "timeout": "timed out",
    "interrupted": "interrupted",
    "died": "kernel died",
    "aborted": "never ran",
    "running": "running",
}
_QUOTED_PROMPT = re.compile(r"> \*\*You\*\*\n>\n((?:>.*(?:\n|$))*)")


_NOTHING = Markup("")


@dataclass(frozen=True)
class Item:
    """One thing on the page. ``kind`` is prompt, words, notice, code or kept (a cell kept as text)."""

    kind: str
    anchor: str
    body: Markup
    language: str = ""
    number: str = ""
    status: str = ""
    took: str = ""
    remark: str = ""
    summary: str = ""
    about: Markup = _NOTHING
    outputs: list[Markup] = field(default_factory=list[Markup])


@dataclass(frozen=True)
class FileRow:
    """A file below the page's cells. ``address``: where it is to be had, empty where it is not; ``hint`` says why.

    ``place`` is the folder that texts link it under.
    """

    path: str
    size: str
    sha256: str
    address: str = ""
    anchor: str = ""
    place: str = "workspace"
    hint: str = ""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class FileGroup:
    title: str
    rows: list[FileRow]


def page(
    notebook: Mapping[str, Any], title: str, beside: Beside | None = None, groups: Sequence[FileGroup] | None = None
) -> str:
    """The whole page of a valid notebook (nbformat 4). ``beside`` is what lies at the page's side: nothing, unless given.

    ``groups`` are its files; without them those that the notebook records are named.
    """
    beside = beside or Beside()
    if groups is None:
        groups = recorded_files(notebook, links=beside.links)
    filters = {
        "page_items": lambda shown: list(items(shown, beside)),
        "page_facts": facts,
    }
    resources = {"title": title, "policy": frames.policy(), "script": Markup(frames.PAGE_SCRIPT), "groups": groups}
    with as_file(files("kernel_gateway.notebook") / "templates") as templates:
        exporter = TemplateExporter(
            template_name="page", file_extension=".html", extra_template_basedirs=[str(templates)], filters=filters
        )
        body, _ = exporter.from_notebook_node(from_dict(notebook), resources)
    return body


def items(notebook: Mapping[str, Any], beside: Beside) -> Iterator[Item]:
    """What the page shows, in order; a setup cell and the line above it are one."""
    about = _NOTHING
    for number, cell in enumerate(sequence(notebook["cells"]), 1):
        kind = mapping(mapping(cell["metadata"]).get("kernel_gateway")).get("kind")
        if cell["cell_type"] == "markdown":
            body = _prose(cell, beside)
            if kind == "setup":
                about = body
            else:
                yield Item(
                    kind if kind in ("prompt", "notice") else "words", f"cell-{number}", body, summary=_summary(cell)
                )
        else:
            yield _code(cell, number, about, beside)
            about = _NOTHING


def _prose(cell: Mapping[str, Any], beside: Beside) -> Markup:
    source = _prompt_text(cell["source"])
    attachments = mapping(cell.get("attachments"))

    def find(path: str) -> tuple[str, str] | None:
        if path.startswith("attachment:"):
            picture = picture_of(mapping(attachments.get(unquote(path[11:]))), encoded=True)
            return (picture.mime, picture.data) if picture else None
        return beside.picture(path)

    return Markup(render(source, Beside(beside.links, find, beside.anchors)))


def _prompt_text(source: str) -> str:
    found = _QUOTED_PROMPT.fullmatch(source)
    return re.sub(r"^> ?", "", found[1], flags=re.M) if found else source


def _summary(cell: Mapping[str, Any]) -> str:
    lines = html.unescape(_prompt_text(cell["source"]).replace("\\$", "$")).strip().splitlines()
    first = lines[0].strip() if lines else ""
    return first if len(first) <= 120 else f"{first[:119].rsplit(' ', 1)[0]}…"


def _code(cell: Mapping[str, Any], number: int, about: Markup, beside: Beside) -> Item:
    ours = mapping(mapping(cell["metadata"]).get("kernel_gateway"))
    is_raw = cell["cell_type"] == "raw"
    exit_, duration, count = text(ours.get("exit", "")), ours.get("duration"), cell.get("execution_count")
    if exit_ not in _EXITS and any(o.get("output_type") == "error" for o in sequence(cell.get("outputs"))):
        exit_ = "error"
    language, body = _highlighted(cell["source"], plain=is_raw and exit_ not in RAW_EXITS)
    is_setup = SETUP_TAG in sequence(mapping(cell["metadata"]).get("tags"))
    return Item(
        kind="kept" if is_raw else "code",
        anchor=f"cell-{number}",
        body=body,
        language=language,
        number="" if count is None else str(count),
        status=_EXITS.get(exit_, ""),
        took=f"{duration:.1f} s" if isinstance(duration, (int, float)) and 0.05 <= duration < 1e9 else "",
        remark="not run yet" if exit_ == "unrun" else "edited after it ran" if ours.get("edited") is True else "",
        summary="Setup" if is_setup else "",
        about=about,
        outputs=[shown for o in sequence(cell.get("outputs")) if (shown := _output(o, beside))],
    )


def _highlighted(source: str, *, plain: bool) -> tuple[str, Markup]:
    formatter: HtmlFormatter[str] = HtmlFormatter(nowrap=True)
    if plain or len(source) > HEAD:
        return "text" if plain else "python", Markup(html.escape(_shortened(source)))
    magic = re.match(r"%%(\w+)[^\n]*\n?", source)
    lexer = (
        _MAGICS.get(magic[1].lower(), TextLexer if magic[1] in ("writefile", "file", "html") else PythonLexer)
        if magic
        else PythonLexer
    )
    language = {BashLexer: "bash", JavascriptLexer: "node", TextLexer: "file"}.get(lexer, "python")
    head = f'<span class="magic">{html.escape(magic[0])}</span>' if magic else ""
    body = source[magic.end() :] if magic else source
    return language, Markup(head + highlight(body, lexer(stripnl=False, ensurenl=False), formatter))


# Outputs


def _output(output: Mapping[str, Any], beside: Beside) -> Markup | None:
    kind = output.get("output_type")
    if kind == "stream":
        return _terminal(text(output.get("text", "")), "stream stderr" if output.get("name") == "stderr" else "stream")
    if kind == "error":
        lines = "\n".join(text(line) for line in sequence(output.get("traceback")))
        return _terminal(lines or f"{output.get('ename')}: {output.get('evalue')}", "stream error")
    return _display(mapping(output.get("data")), mapping(output.get("metadata")), beside)


def _display(data: Mapping[str, Any], metadata: Mapping[str, Any], beside: Beside) -> Markup | None:
    """The richest form that works without a script."""
    rich = _joined(data.get("text/html", ""))
    if not (picture_of(data) and "<script" in rich.lower()) and (framed := frames.frame(rich)):
        return Markup(framed)
    if picture := picture_of(data):
        if size := too_large(picture):
            return Markup(f'<p class="hint">Picture of {size} pixels: too large to be shown here.</p>')
        return _picture(picture.mime, picture.data, metadata)
    if "text/markdown" in data:
        return Markup(f'<div class="prose">{render(_joined(data["text/markdown"]), beside)}</div>')
    if "text/latex" in data:
        return Markup(f'<div class="formula">{_latex(_joined(data["text/latex"]))}</div>')
    return _structure(data) or _interactive(data)


def _joined(value: Any) -> str:
    return "".join(map(text, sequence(value))) if isinstance(value, list) else text(value)


def _latex(source: str) -> str:
    return mathml(source.strip().strip("$").removeprefix("\\displaystyle"), block=True)


def _picture(mime: str, data: str, metadata: Mapping[str, Any]) -> Markup:
    size = mapping(metadata.get(mime)) or metadata
    wanted = {k: size[k] for k in ("width", "height") if isinstance(size.get(k), int) and 0 < size[k] < 10_000}
    attributes = "".join(f' {k}="{v}"' for k, v in wanted.items())
    return Markup(
        f'<img class="picture" alt="Picture made by the cell above" src="data:{mime};base64,{data}"{attributes}>'
    )


def _structure(data: Mapping[str, Any]) -> Markup | None:
    if "application/json" not in data:
        return None
    body = _shortened(json.dumps(data["application/json"], indent=2, ensure_ascii=False, default=str))
    return Markup(f"<details><summary>JSON</summary><pre>{html.escape(body)}</pre></details>")


def _interactive(data: Mapping[str, Any]) -> Markup | None:
    plain = _terminal(_joined(data["text/plain"]), "result") if "text/plain" in data else None
    rich = sorted((m for m in data if m != "text/plain"), key=lambda m: m == "text/html")
    if not rich:
        return plain
    name = html.escape(rich[0])
    hint = f'<p class="hint">Interactive output ({name}): open the notebook in Jupyter to use it.</p>'
    return (plain or Markup("")) + Markup(hint) + Markup("").join(_whole(mime, data[mime]) for mime in rich)


def _whole(mime: str, value: Any) -> Markup:
    """What cannot be shown is there all the same: to be read, or to be saved."""
    shown = html.escape(mime)
    if isinstance(value, (dict, list)) and not _is_lines(value):
        body = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    else:
        body = _joined(value)
    with suppress(ValueError):
        if not mime.startswith("text/") and body and base64.b64decode("".join(body.split()), validate=True):
            address = f"data:application/octet-stream;base64,{''.join(body.split())}"
            return Markup(f'<p class="hint"><a download="output" href="{address}">Save it ({shown})</a></p>')
    return Markup(f"<details><summary>{shown}</summary><pre>{html.escape(_shortened(body))}</pre></details>")


def _is_lines(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(line, str) for line in cast("list[Any]", value))


def _terminal(body: str, css: str) -> Markup:
    """Text as a terminal leaves it: colours, and of a line written over again and again its last state."""
    lines = (line.rstrip("\r").rsplit("\r", 1)[-1] for line in _shortened(body).split("\n"))
    return Markup(f'<pre class="{css}">{ansi2html(chr(10).join(lines).rstrip(chr(10)))}</pre>')


def _shortened(body: str) -> str:
    left_out = len(body) - HEAD - TAIL
    if left_out <= 0:
        return body
    return f"{body[:HEAD]}\n[… {left_out:,} characters: see the notebook …]\n{body[-TAIL:]}"


# What stands above and below


def facts(notebook: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the page says of the session under its title."""
    ours = mapping(mapping(notebook["metadata"]).get("kernel_gateway"))
    usage, environment = mapping(ours.get("usage")), mapping(ours.get("environment"))
    created, cost = ours.get("created"), usage.get("cost")
    found = [
        ("Session", ours.get("session")),
        ("Date", created[:10] if isinstance(created, str) else None),
        ("Model", ours.get("model")),
        ("Cost", f"${cost:,.2f}" if isinstance(cost, (int, float)) and usage.get("turns") else None),
        ("Python", environment.get("python")),
        ("Sandbox", ours.get("engine")),
    ]
    return [(name, value) for name, value in found if isinstance(value, str) and value]


def recorded_files(notebook: Mapping[str, Any], *, links: bool) -> list[FileGroup]:
    """The files that a notebook names, made and given; ``links``: they lie beside the page."""
    ours = mapping(mapping(notebook["metadata"]).get("kernel_gateway"))
    groups = [
        FileGroup(title, [_row(mapping(f), links=links) for f in sequence(ours.get(which))])
        for title, which in (("Files made", "outputs"), ("Files given", "inputs"))
    ]
    return [group for group in groups if group.rows]


def _row(file: Mapping[str, Any], *, links: bool) -> FileRow:
    path, size = text(file.get("path", "")), file.get("bytes")
    linked = links and ".." not in path.split("/") and not path.startswith("/")
    return FileRow(
        path,
        human_bytes(size) if isinstance(size, int) else "",
        text(file.get("sha256") or ""),
        f"workspace/{quote(path)}" if linked else "",
    )
