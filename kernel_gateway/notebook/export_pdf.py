"""A notebook as a PDF, by pandoc and Typst from their wheels: no browser, no TeX, no network.

Pandoc (sandboxed: it reads no file and no address) turns markdown and HTML tables into its own tree; here code, streams and pictures are
put around it; Typst sets the whole from a folder that holds nothing but this document's pictures.
"""

from __future__ import annotations

import base64
import html
import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from ..errors import BadRequest, GatewayError
from .harmless import is_harmless
from .markdown import human_bytes
from .outputs import Picture, mapping, picture_of, sequence, text, without_escapes
from .render import SETUP_TAG
from .sources import Source
from .wrapping import wrapped

FindPicture = Callable[[str], tuple[str, str] | None]
_SECONDS = 120
_MARKDOWN = "gfm+tex_math_dollars-raw_html"
# Of one output; the notebook has it whole.
_LINES = 400
_TABLE_BYTES = 300_000
_COLUMNS = 92
_SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp", "image/svg+xml": "svg"}
_EXITS = {
    "error": "error",
    "timeout": "timed out",
    "interrupted": "interrupted",
    "died": "kernel died",
    "aborted": "never ran",
    "unrun": "not run yet",
}

Block = dict[str, Any]


def write_pdf(notebook: Mapping[str, Any], title: str, find: FindPicture, target: Path) -> list[str]:
    """Write the document; what could not be shown in it is returned. Raises BadRequest when the extra is not installed."""
    pandoc = _pandoc()
    with tempfile.TemporaryDirectory(prefix="cell-gateway-") as folder:
        document = _Document(Path(folder), pandoc, find)
        blocks = [b for cell in sequence(notebook["cells"]) for b in document.cell(cell)]
        blocks += document.files(notebook)
        tree = {"pandoc-api-version": document.version(), "meta": {}, "blocks": blocks}
        body = pandoc(["--from=json", "--to=typst"], json.dumps(tree))
        template = (files("kernel_gateway.notebook") / "templates" / "document.typ").read_text("utf-8")
        (Path(folder) / "main.typ").write_text(
            f"{template}\n#show: paper.with(title: {_string(title)})\n\n{body}", encoding="utf-8"
        )
        _compile(Path(folder), target, document)
        return document.notices


def _pandoc() -> Callable[[list[str], str], str]:
    try:
        import pypandoc
        import typst  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise BadRequest(
            "The export to PDF needs pandoc and Typst, which are not installed.",
            "Install the extra pdf: uv tool install 'cell-gateway[pdf]', or pip install 'cell-gateway[pdf]'",
        ) from None
    path = str(pypandoc.get_pandoc_path())

    def run(options: list[str], content: str) -> str:
        command = [path, "--sandbox", *options, "+RTS", "-M1G", "-RTS"]
        try:
            done = subprocess.run(
                command, input=content.encode("utf-8", "replace"), capture_output=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GatewayError(f"pandoc did not come to an end: {error}.") from error
        if done.returncode:
            raise GatewayError(f"pandoc failed: {done.stderr.decode(errors='replace')[:300]}")
        return done.stdout.decode()

    return run


def _compile(folder: Path, target: Path, document: _Document) -> None:
    import typst

    try:
        content = typst.compile(str(folder / "main.typ"), root=str(folder))
    except typst.TypstError:
        # A picture that is none is the one thing that an unknown notebook can stop it with.
        document.replace_broken(_opens)
        try:
            content = typst.compile(str(folder / "main.typ"), root=str(folder))
        except typst.TypstError as error:
            raise GatewayError(f"Typst could not set the document: {str(error)[:300]}") from error
    target.write_bytes(content)


def _opens(picture: Path) -> bool:
    import typst

    trial = picture.with_name("trial.typ")
    trial.write_text(f"#image({_string(picture.name)})", encoding="utf-8")
    try:
        typst.compile(str(trial), root=str(picture.parent))
    except typst.TypstError:
        return False
    return True


@dataclass
class _Document:
    """Cells as pandoc's blocks; pictures go into ``folder``."""

    folder: Path
    pandoc: Callable[[list[str], str], str]
    find: FindPicture
    notices: list[str] = field(default_factory=list[str])
    pictures: list[Path] = field(default_factory=list[Path])
    _version: list[int] = field(default_factory=list[int])

    def version(self) -> list[int]:
        if not self._version:
            self._tree("", _MARKDOWN)
        return self._version

    def cell(self, cell: Mapping[str, Any]) -> Iterator[Block]:
        if cell["cell_type"] == "markdown":
            yield from self._words(cell)
            return
        ours = mapping(mapping(cell["metadata"]).get("kernel_gateway"))
        if SETUP_TAG in sequence(mapping(cell["metadata"]).get("tags")):
            return
        source = text(cell["source"])
        if cell["cell_type"] == "raw" and not ours:
            yield _code(source, "")
            return
        language = {"bash": "bash", "node": "js", "python": "python"}.get(Source(source).language, "")
        edited = "edited after it ran" if ours.get("edited") is True else ""
        label = ", ".join(filter(None, (_EXITS.get(text(ours.get("exit") or ""), ""), edited)))
        count = cell.get("execution_count")
        yield _raw(f"#code-label({_string('' if count is None else f'[{count}]')}, {_string(label)})")
        yield _code(source, language)
        for output in sequence(cell.get("outputs")):
            yield from self._output(output)

    def _words(self, cell: Mapping[str, Any]) -> Iterator[Block]:
        kind = mapping(mapping(cell["metadata"]).get("kernel_gateway")).get("kind")
        if kind == "setup":
            return
        source = text(cell["source"])
        if kind == "prompt":
            source = re.sub(r"^> ?", "", re.sub(r"^> \*\*You\*\*\n>\n", "", source), flags=re.M)
        blocks = self._markdown(source, mapping(cell.get("attachments")))
        frame = {"prompt": "prompt", "notice": "note"}.get(text(kind or ""))
        if frame:
            yield _raw(f"#{frame}[")
            yield from blocks
            yield _raw("]")
        else:
            yield from blocks

    def _output(self, output: Mapping[str, Any]) -> Iterator[Block]:
        kind = output.get("output_type")
        if kind == "stream":
            yield from self._lines(
                text(output.get("text", "")), "stderr" if output.get("name") == "stderr" else "plain"
            )
        elif kind == "error":
            lines = "\n".join(text(line) for line in sequence(output.get("traceback")))
            yield from self._lines(lines or f"{output.get('ename')}: {output.get('evalue')}", "failure")
        else:
            yield from self._display(mapping(output.get("data")))

    def _display(self, data: Mapping[str, Any]) -> Iterator[Block]:
        if picture := picture_of(data):
            yield self._picture(picture)
        elif "text/html" in data and (table := self._table(_joined(data["text/html"]))):
            yield _raw("#table-output[")
            yield from table
            yield _raw("]")
        elif "text/markdown" in data:
            yield from self._markdown(_joined(data["text/markdown"]), {})
        elif "text/latex" in data:
            yield from self._markdown(f"$${_joined(data['text/latex']).strip().strip('$')}$$", {})
        elif "text/plain" in data:
            yield from self._lines(_joined(data["text/plain"]), "plain")
        elif data:
            yield _raw(f"#hint[Interactive output ({next(iter(sorted(map(_escaped, data))))}): see the notebook.]")

    def _lines(self, body: str, style: str) -> Iterator[Block]:
        lines = without_escapes(body).rstrip("\n").split("\n")
        lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines]
        left = len(lines) - _LINES
        yield _raw(f"#{style}[")
        yield _code("\n".join(lines[:_LINES]), "")
        yield _raw("]")
        if left > 0:
            yield _raw(f"#hint[… and {left:,} more lines: see the notebook.]")

    def _table(self, source: str) -> list[Block]:
        if "<table" not in source.lower() or len(source) > _TABLE_BYTES:
            return []
        source = re.sub(r"<(style|script)\b.*?</\1\s*>", "", source, flags=re.S | re.I)
        return cast("list[Block]", self._clean(self._tree(source, "html-native_divs-native_spans"), {}))

    def _markdown(self, source: str, attachments: Mapping[str, Any]) -> list[Block]:
        return cast("list[Block]", self._clean(self._tree(source, _MARKDOWN), attachments))

    def _tree(self, source: str, kind: str) -> list[Block]:
        found = json.loads(self.pandoc([f"--from={kind}", "--to=json"], source))
        self._version = found["pandoc-api-version"]
        return found["blocks"]

    def _clean(self, node: Any, attachments: Mapping[str, Any]) -> Any:
        """No raw Typst of a stranger, no picture but those at hand, long code lines wrapped."""
        if isinstance(node, list):
            return [self._clean(n, attachments) for n in cast("list[Any]", node)]
        if not isinstance(node, dict):
            return node
        kind, content = node.get("t"), cast("Any", node.get("c"))
        if kind in ("RawBlock", "RawInline"):
            return {"t": "Plain", "c": []} if kind == "RawBlock" else {"t": "Str", "c": ""}
        if kind == "Image":
            return self._linked_picture(content, attachments)
        if kind == "CodeBlock":
            return {"t": kind, "c": [content[0], wrapped(text(content[1]), _COLUMNS)]}
        if kind == "Link" and not re.match(r"https?://|mailto:", text(content[2][0])):
            return {"t": "Span", "c": [["", [], []], self._clean(content[1], attachments)]}
        return {k: self._clean(v, attachments) for k, v in cast("dict[str, Any]", node).items()}

    def _linked_picture(self, content: Any, attachments: Mapping[str, Any]) -> Block:
        address = unquote(text(content[2][0]))
        picture = (
            picture_of(mapping(attachments.get(address[11:])), encoded=True)
            if address.startswith("attachment:")
            else None
        )
        if picture is None and (found := self.find(address)):
            picture = Picture(*found)
        shown = self._file(picture) if picture else ""
        if not shown:
            return {
                "t": "Span",
                "c": [["", [], []], [{"t": "Str", "c": "[picture: "}, *content[1], {"t": "Str", "c": "]"}]],
            }
        return {"t": "RawInline", "c": ["typst", f"#picture({_string(shown)})"]}

    def _picture(self, picture: Picture) -> Block:
        name = self._file(picture)
        return _raw(f"#picture({_string(name)})" if name else "#hint[A picture that cannot be shown here.]")

    def _file(self, picture: Picture) -> str:
        """Its name in the folder; empty when it is none that may be opened."""
        if picture.mime not in _SUFFIXES or not is_harmless(picture):
            self.notices.append("A picture could not be shown in the PDF; the notebook has it.")
            return ""
        path = self.folder / f"picture-{len(self.pictures) + 1}.{_SUFFIXES[picture.mime]}"
        path.write_bytes(base64.b64decode(picture.data))
        self.pictures.append(path)
        return path.name

    def replace_broken(self, opens: Callable[[Path], bool]) -> None:
        """Pictures that Typst cannot open become an empty one."""
        for path in self.pictures:
            if not opens(path):
                self.notices.append("A picture could not be shown in the PDF; the notebook has it.")
                main = self.folder / "main.typ"
                body = main.read_text("utf-8").replace(
                    f"#picture({_string(path.name)})", "#hint[A picture that cannot be shown here.]"
                )
                main.write_text(body, encoding="utf-8")

    def files(self, notebook: Mapping[str, Any]) -> Iterator[Block]:
        ours = mapping(mapping(notebook["metadata"]).get("kernel_gateway"))
        for title, which in (("Files made", "outputs"), ("Files given", "inputs")):
            rows = [mapping(f) for f in sequence(ours.get(which))]
            if rows:
                yield _raw(f"#file-list({_string(title)}, ({''.join(map(_row, rows))}))")


def _row(file: Mapping[str, Any]) -> str:
    size = file.get("bytes")
    shown = human_bytes(size) if isinstance(size, int) else ""
    return f"({', '.join(map(_string, (text(file.get('path', '')), shown, text(file.get('sha256') or ''))))}),"


def _code(source: str, language: str) -> Block:
    return {"t": "CodeBlock", "c": [["", [language] if language else [], []], wrapped(source.rstrip("\n"), _COLUMNS)]}


def _raw(typst: str) -> Block:
    return {"t": "RawBlock", "c": ["typst", typst]}


def _string(value: str) -> str:
    """A Typst string."""
    plain = "".join(c if c.isprintable() else " " for c in value)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(value: str) -> str:
    return re.sub(r"[^\w/+. -]", " ", html.unescape(value))


def _joined(value: Any) -> str:
    return "".join(map(text, sequence(value))) if isinstance(value, list) else text(value)
