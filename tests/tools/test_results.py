from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.supervisor.runs import ExitKind, RunResult
from kernel_gateway.tools import results
from kernel_gateway.tools.results import content, cut, is_error, listed, pictures, shares

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n...").decode()


def ran(*outputs: dict[str, Any], exit: ExitKind = "ok", **fields: Any) -> RunResult:
    return RunResult("run", "cell", exit, outputs=list(outputs), **fields)


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def display(**data: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {k.replace("_", "/"): v for k, v in data.items()}, "metadata": {}}


def error(*traceback: str, ename: str = "ValueError", evalue: str = "no") -> dict[str, Any]:
    return {"output_type": "error", "ename": ename, "evalue": evalue, "traceback": list(traceback)}


def only_text(result: RunResult, **options: Any) -> str:
    (block,) = content(result, **options)
    assert block["type"] == "text"
    return block["text"]


def test_nothing_is_said_to_be_nothing():
    assert only_text(ran()) == "(no output)"
    assert only_text(ran(), silent="restarted") == "restarted"
    assert only_text(ran(stream("\n"))) == "(only white space)"


def test_streams_results_and_errors_come_in_their_places():
    result = ran(
        stream("out\n"), stream("careful\n", "stderr"), display(text_plain="42"), error("ValueError: no"), exit="error"
    )
    assert only_text(result) == "out\n42\n[stderr]\ncareful\nValueError: no"


def test_text_and_pictures_alternate_in_order():
    blocks = content(ran(stream("one\n"), display(image_png=PIXEL), stream("two\n"), display(image_jpeg=PIXEL)))
    assert [b["type"] for b in blocks] == ["text", "image", "text", "image"]
    assert blocks[1]["source"] == {"type": "base64", "media_type": "image/png", "data": PIXEL}
    assert blocks[3]["source"]["media_type"] == "image/jpeg"


def test_the_text_of_a_figure_is_left_out_and_a_raster_picture_is_preferred():
    result = ran(
        display(**{"image_svg+xml": "<svg/>", "image_png": PIXEL[:8] + "\n" + PIXEL[8:], "text_plain": "<Figure>"})
    )
    assert [b["type"] for b in content(result)] == ["image"]
    assert [(p.mime, p.data) for p in pictures(result)] == [("image/png", base64.b64decode(PIXEL))]


def test_an_svg_alone_is_a_picture_as_it_is():
    assert pictures(ran(display(**{"image_svg+xml": ["<svg>", "</svg>"]}))) == [
        results.Picture("image/svg+xml", b"<svg></svg>")
    ]


def test_a_picture_that_cannot_be_read_is_told():
    result = ran(display(image_png="!!!", text_plain="<Figure>"))
    assert only_text(result) == "[a picture (image/png) that cannot be read; the notebook has it as it is]\n"
    assert pictures(result) == []


def test_pictures_beyond_the_most_are_told():
    blocks = content(ran(*[display(image_png=PIXEL)] * (results.MOST_PICTURES + 2)))
    assert [b["type"] for b in blocks] == ["image"] * results.MOST_PICTURES + ["text"]
    assert blocks[-1]["text"].count("one more picture") == 2


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"text_html": "<table>", "text_plain": "a  b"}, "a  b\n"),
        ({"text_html": "<b>", "text_plain": "plain", "text_markdown": "**md**"}, "**md**\n"),
        ({"text_plain": ["two\n", "lines"]}, "two\nlines\n"),
        ({"text_html": "<b>"}, "(no output)"),
    ],
)
def test_of_a_bundle_the_most_readable_text_is_given(data: dict[str, Any], shown: str):
    assert only_text(ran(display(**data))) == shown


def test_colours_are_taken_away_and_progress_bars_are_their_last_state():
    assert only_text(ran(stream("\x1b[31mred\x1b[0m\r\n 1%\r 50%\r100%\r\ndone"))) == "red\n100%\ndone"


@given(st.text(), st.integers(0, 50), st.floats(0, 1))
def test_a_cut_keeps_exact_counts(text: str, limit: int, tail: float):
    shown = cut(text, limit, tail)
    if len(text) <= limit:
        assert shown == text
        return
    found = re.search(r"\n\[… ([\d,]+) of ([\d,]+) characters left out, ([\d,]+) line ends among them …\]\n", shown)
    assert found
    left_out, total, line_ends = (int(number.replace(",", "")) for number in found.groups())
    head, end = shown[: found.start()], shown[found.end() :]
    assert (total, len(head) + len(end)) == (len(text), limit)
    assert left_out == total - limit
    assert text == head + text[len(head) : len(text) - len(end)] + end
    assert line_ends == text[len(head) : len(text) - len(end)].count("\n")


@given(st.lists(st.integers(0, 1000)), st.integers(0, 5000))
def test_shares_use_the_limit_and_cut_only_the_long(lengths: list[int], limit: int):
    given_ = shares(lengths, limit)
    assert sum(given_) == min(sum(lengths), limit)
    assert all(g <= n for g, n in zip(given_, lengths, strict=True))
    if cuts := [g for g, n in zip(given_, lengths, strict=True) if g < n]:
        assert max(cuts) - min(cuts) <= 1
        assert all(g <= max(cuts) for g in given_)


def test_the_end_of_a_long_stderr_is_kept_and_short_texts_are_whole():
    result = ran(
        stream("o" * 50_000), stream("e" * 50_000 + "the reason", "stderr"), error("ValueError: no"), exit="error"
    )
    text = only_text(result)
    assert "the reason\nValueError: no" in text
    assert text.count("e" * 11_000) == 1
    assert 30_000 < len(text) < 30_600


@given(
    st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.text(max_size=200)), max_size=30), st.integers(0, 300)
)
def test_the_budget_holds_however_the_streams_alternate(texts: list[tuple[str, str]], limit: int):
    assert len(only_text(ran(*[stream(t, n) for n, t in texts]), limit=limit)) <= limit + 500


def test_a_cut_says_where_the_whole_is():
    assert only_text(ran(stream("x" * 40_000))).endswith(
        "\n[The notebook has the whole output. Print less, or write to a file and look at parts of it.]"
    )
    text = only_text(
        ran(stream("x" * 40_000), whole="cell-3.txt", notice="The output was cut: 40,000 of 90,000 bytes.")
    )
    assert text.endswith(
        "[The output was cut: 40,000 of 90,000 bytes.]\n\n[In here the whole output is /outputs/cell-3.txt.]"
    )


@pytest.mark.parametrize(
    ("exit", "remark"),
    [
        ("timeout", "[The cell reached its time limit after 300 s and was stopped.]"),
        ("interrupted", "[The cell was interrupted after 300 s.]"),
        ("died", "[The kernel died while this cell ran.]"),
        ("aborted", "[The cell was not run.]"),
    ],
)
def test_how_a_cell_ended_is_told(exit: ExitKind, remark: str):
    assert only_text(ran(stream("a"), exit=exit, duration=299.9, notice="Lost: x.")) == f"a\n{remark}\n\n[Lost: x.]"


def test_files_come_last():
    result = ran(stream("a"), files=[{"path": "b.csv", "bytes": 1234, "sha256": ""}])
    assert only_text(result) == "a\nNew or changed files:\n- b.csv (1,234 bytes)"


def test_many_files_are_counted():
    assert listed([{"path": f"f{i}", "bytes": 0} for i in range(60)]).endswith("- f49 (0 bytes)\n- and 10 more")


def test_frames_of_libraries_are_counted_and_those_of_the_work_stay():
    frames = [
        "-----------",
        "KeyError                Traceback (most recent call last)",
        "Cell In[3], line 1\n----> 1 f()",
        "File /workspace/mine.py:2, in f()",
        "File ~/venv/lib/python3.12/site-packages/pandas/core/frame.py:1, in a()",
        "File /image/python/lib/python3.12/json/decoder.py:2, in b()",
        "File /x/site-packages/pandas/core/innermost.py:3, in c()",
        "\x1b[31mKeyError\x1b[0m: 'x'",
    ]
    assert only_text(ran(error(*frames), exit="error")).split("\n") == [
        "KeyError                Traceback (most recent call last)",
        "Cell In[3], line 1",
        "----> 1 f()",
        "File /workspace/mine.py:2, in f()",
        "[… 2 frames of libraries …]",
        "File /x/site-packages/pandas/core/innermost.py:3, in c()",
        "KeyError: 'x'",
    ]


def test_without_frames_an_error_is_its_message():
    assert only_text(ran(error("a", "b"), exit="error"), frames=False) == "ValueError: no"
    assert only_text(ran(error(), exit="error")) == "ValueError: no"


@pytest.mark.parametrize("exit", ["error", "timeout", "interrupted", "died", "aborted"])
def test_all_but_ok_is_an_error(exit: ExitKind):
    assert is_error(ran(exit=exit))
    assert not is_error(ran())
