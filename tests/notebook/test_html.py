"""The page: everything of the notebook is on it, and nothing on it can act or be fetched."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_gateway.notebook import frames
from kernel_gateway.notebook.build import fold
from kernel_gateway.notebook.formulas import mathml
from kernel_gateway.notebook.html import page
from kernel_gateway.notebook.prose import Beside, render

from .journals import PNG, Script, display, stdout

HOSTILE = (
    '<script>fetch("//evil.example/a")</script><img src=x onerror=alert(1)><meta http-equiv=refresh content="0;//evil.example">'
    '<link rel=preconnect href="//evil.example"><iframe src="//evil.example"></iframe><base href="//evil.example">'
    '</iframe></pre></style><svg onload=alert(1)><script>alert(2)</script></svg><a href="javascript:alert(3)">x</a>'
)


class Elements(HTMLParser):
    """The elements of a page and, one level down, those of its frames."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.frames: list[str] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if tag == "iframe":
            self.frames.append(dict(attrs)["srcdoc"] or "")

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False


def assert_harmless(markup: str) -> None:
    """No script but ours, no handler, no address that a browser would fetch by itself."""
    for part in (markup, *Elements(markup).frames):
        elements = Elements(part)
        assert set(elements.scripts) <= {frames.PAGE_SCRIPT, frames.FRAME_SCRIPT}
        for tag, attributes in elements.found:
            assert tag not in ("link", "base", "object", "embed", "frame", "applet"), tag
            assert tag != "meta" or attributes.get("http-equiv") in (
                None,
                "Content-Security-Policy",
                "x-dns-prefetch-control",
            )
            assert not [name for name in attributes if name.startswith("on")], attributes
            if tag == "iframe":
                assert attributes["sandbox"] == "allow-scripts"
                assert "src" not in attributes
            if tag == "img" and part is markup:
                assert (attributes["src"] or "").startswith("data:image/")
            if tag == "a" and part is markup:
                assert re.match(r"https?://|mailto:|#|workspace/|outputs/", attributes.get("href") or "")


def shown(script: Script, **beside: Any) -> str:
    markup = page(fold(script.records), "Title", Beside(**beside))
    assert_harmless(markup)
    return markup


def visible(markup: str) -> str:
    return re.sub(r"<[^>]+>", "", markup.split("<main>")[1])


def test_everything_of_a_session_is_on_the_page(small_session: Script) -> None:
    markup = shown(small_session)
    text = visible(markup)
    for expected in (
        "Draw the data.",
        "It costs $5 &amp; &lt;b&gt;more&lt;/b&gt;.",
        "I read the file first.",
        "&#x27;a,b&#x27;",
        "ZeroDivisionError",
        "timed out",
        "working",
        "chart.png",
        "data.csv",
        "b" * 64,
    ):
        assert (
            expected in text or expected.replace("&#x27;", "&#39;") in text or expected.replace("&#x27;", "'") in text
        ), expected
    assert markup.count(f"data:image/png;base64,{PNG}") == 2
    assert "<title>Title</title>" in markup
    assert "amber-wren" in markup
    assert "$0.25" in markup


def test_the_policy_names_the_two_scripts_by_hash_and_allows_no_address(small_session: Script) -> None:
    markup = shown(small_session)
    policy = next(a["content"] for t, a in Elements(markup).found if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert not re.search(r"https?:|\*|unsafe-eval|'self'", policy)
    assert "script-src 'sha256-" in policy
    for script in Elements(markup).scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


@pytest.mark.parametrize(
    "mime", ["text/html", "image/svg+xml", "text/markdown", "text/latex", "text/plain", "application/json", "x/<b>"]
)
def test_a_hostile_output_does_no_harm(script: Script, mime: str) -> None:
    script.run("x", display({mime: HOSTILE}))
    shown(script)


def test_hostile_words_prompts_sources_names_and_streams_do_no_harm(script: Script) -> None:
    script.add("session", session=HOSTILE, engine=HOSTILE, environment={"python": HOSTILE})
    script.add("prompt", cell="p", text=HOSTILE, attachments=[{"name": HOSTILE, "path": HOSTILE, "sha256": HOSTILE}])
    words = f"{HOSTILE}\n\n![x](//evil.example/x.png) [y](javascript:alert(1))\n\n```{HOSTILE}\n```"
    script.add("words", cell="w", text=words, model=HOSTILE)
    script.run(
        HOSTILE, stdout(HOSTILE), {"output_type": "error", "ename": HOSTILE, "evalue": HOSTILE, "traceback": [HOSTILE]}
    )
    script.run(HOSTILE, stdout(HOSTILE), exit="died", notice=HOSTILE)
    script.add("files", run="x", files=[{"path": HOSTILE, "sha256": HOSTILE, "bytes": 5}])
    shown(script, links=True)


PIECES = [*"<>\"'=/ &;-!", "script", "style", "svg", "iframe", "on", "x", "<!--", "]]>", "<![CDATA["]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_no_markup_gets_out_of_its_frame_or_into_a_script(markup: str) -> None:
    framed = frames.frame(markup) or ""
    assert_harmless(framed)
    assert len(Elements(framed).frames) <= 1
    assert_harmless(render(markup, Beside()))
    assert_harmless(mathml(markup))


def test_a_table_is_framed_as_it_is(script: Script) -> None:
    script.run(
        "df",
        display({"text/html": "<table><tr><th>a</th></tr><tr><td>1 &amp; 2</td></tr></table>", "text/plain": "a 1"}),
    )
    (frame,) = Elements(shown(script)).frames
    assert "<table><tr><th>a</th></tr><tr><td>1 &amp; 2</td></tr></table>" in frame


def test_an_output_that_is_all_script_falls_back_and_says_so(script: Script) -> None:
    data = {
        "text/html": "<div id=x></div><script>draw()</script>",
        "text/plain": "Figure()",
        "application/vnd.plotly.v1+json": {},
    }
    script.run("fig", display(data))
    text = visible(shown(script))
    assert "Figure()" in text
    assert "Interactive output (application/vnd.plotly.v1+json)" in text


def test_of_a_script_and_a_picture_the_picture_is_shown(script: Script) -> None:
    script.run("fig", display({"text/html": "<p>x</p><script>draw()</script>", "image/png": PNG}))
    assert f"base64,{PNG}" in shown(script)


def test_setup_cells_are_folded_away_with_their_explanation(small_session: Script) -> None:
    details = re.search(r'<details class="setup".*?</details>', shown(small_session), re.S)
    assert details
    assert "INPUT_DIR" in details[0]
    assert "import" in details[0]


def test_links_to_files_hold_only_beside_the_session(small_session: Script) -> None:
    assert 'href="workspace/chart.png"' in shown(small_session, links=True)
    assert "workspace/chart.png" not in shown(small_session, links=False)


def test_a_progress_bar_shows_its_last_state(script: Script) -> None:
    script.run("x", stdout("10%\r50%\r100%\r\ndone"))
    text = visible(shown(script))
    assert "100%\ndone" in text
    assert "50%" not in text


def test_a_very_long_output_says_how_much_is_left_out(script: Script) -> None:
    script.run("x", stdout("a" * 100_000 + "THE END"))
    text = visible(shown(script))
    assert "20,007 characters: see the notebook" in text
    assert "THE END" in text


@pytest.mark.parametrize(
    ("tex", "element"), [(r"\frac{a}{b}", "<mfrac>"), (r"\begin{matrix}a & b\end{matrix}", "<mtable>")]
)
def test_formulas_become_mathml(tex: str, element: str) -> None:
    assert element in mathml(tex)


@pytest.mark.parametrize(
    "tex", [r"\text{<img src=x>}", r"\href{javascript:alert(1)}{x}", "x_", "{" * 4000, r"\left(", "a" * 9000]
)
def test_what_is_no_formula_stays_as_it_was_written(tex: str) -> None:
    assert mathml(tex).startswith('<code class="tex">')


def test_a_link_to_the_web_stays_a_link() -> None:
    assert '<a href="https://example.org/?a=1&amp;b=2"' in render("[x](https://example.org/?a=1&b=2)", Beside())
