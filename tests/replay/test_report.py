"""The page of a verdict: everything side by side, and nothing in it can act."""

from __future__ import annotations

import base64
import re

from kernel_gateway.replay.compare.cells import compare_cell
from kernel_gateway.replay.compare.model import Cell
from kernel_gateway.replay.compare.wire import Pair
from kernel_gateway.replay.report import marked, page
from kernel_gateway.replay.verdict import summarise

from .compare.test_cells import cell, display, failed, stream
from .compare.test_pictures import png


def shown(*pairs: Pair) -> str:
    return page(
        summarise([compare_cell(p.recorded, p.again) for p in pairs]), pairs, "Sales <2024>", {"image": "default"}
    )


def picture(data: bytes) -> Cell:
    return cell(display(image_png=base64.b64encode(data).decode()), source="plot()")


def test_a_changed_picture_stands_beside_the_old_one_and_their_difference() -> None:
    text = shown(Pair(picture(png()), picture(png(lambda i: i.putpixel((5, 5), (0, 0, 0))))))
    assert re.findall(r"<figcaption>(\w+)</figcaption><img src=\"data:image/png;base64,", text) == [
        "recorded",
        "again",
        "difference",
    ]


def test_texts_are_escaped_and_what_differs_is_marked() -> None:
    text = shown(Pair(cell(stream("<script>alert(1)</script> 1\n")), cell(stream("<script>alert(1)</script> 2\n"))))
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "<del>1</del>" in text and "<ins>2</ins>" in text


def test_the_page_has_no_script_and_a_policy_that_allows_no_request() -> None:
    text = shown(Pair(cell(), failed("NameError", "x")))
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    assert not re.search(r"<script|<iframe|<link|\bon\w+=|(?:src|href)=\"(?!data:image/|#)", text)


def test_a_data_url_is_base64_and_nothing_else() -> None:
    bad = cell(display(image_png='AAAA" onload="alert(1)'))
    assert "onload" not in shown(Pair(bad, picture(png())))


def test_cells_that_are_the_same_are_folded_into_one_line() -> None:
    same = Pair(cell(stream("a")), cell(stream("a")))
    assert "Cells 1 to 3" in shown(same, same, same, Pair(cell(stream("a")), cell(stream("b"))))


def test_the_first_cause_and_what_follows_are_named() -> None:
    first = Pair(cell(stream("1"), source="x = load()"), failed("ValueError", "bad"))
    second = Pair(cell(stream("1"), source="print(x)"), failed("NameError", "name 'x' is not defined"))
    text = shown(first, second)
    assert "first cause" in text
    assert "follows from cell 1" in text


def test_a_table_is_shown_with_its_changed_cells() -> None:
    def table(price: str) -> Cell:
        return cell(
            display(
                text_html=f"<table><tr><th>item</th><th>price</th></tr><tr><td>pen</td><td>{price}</td></tr></table>"
            )
        )

    text = shown(Pair(table("9.99"), table("10.99")))
    assert re.search(r'<td class="changed"><del>9.99</del></td>', text)
    assert re.search(r'<td class="changed"><ins>10.99</ins></td>', text)


def test_marking_keeps_every_character() -> None:
    before, after = marked("a 1.5 <b>", "a 2.5 <c>")
    assert (before and before.striptags(), after and after.striptags()) == ("a 1.5 <b>", "a 2.5 <c>")
