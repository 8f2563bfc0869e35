"""Tables are compared by cell; whatever is changed in one is found and named."""

from __future__ import annotations

import csv
import io
import random

from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.replay.compare import delimited, markup
from kernel_gateway.replay.compare.model import Options

OPTIONS = Options()
HEAD = ["item", "price", "count"]
ROWS = [["pen", "9.99", "3"], ["book", "12.50", "1"], ["lamp", "30.00", "2"]]


def html(head: list[str], rows: list[list[str]], uuid: str = "a1b2c") -> str:
    heads = "".join(f"<th>{h}</th>" for h in head)
    body = ""
    for n, row in enumerate(rows):
        cells = "".join(f'<td id="T_{uuid}_r{n}_{c}">{v}</td>' for c, v in enumerate(row))
        body += f"<tr><th>{n}</th>{cells}</tr>"
    style = f"<style>#T_{uuid}_r0_0 {{ color: red; }}</style>"
    return f'{style}<table id="T_{uuid}"><thead><tr><th></th>{heads}</tr></thead><tbody>{body}</tbody></table>'


def reason(head: list[str], rows: list[list[str]]) -> str:
    return markup.compare(html(HEAD, ROWS), html(head, rows, "ffff0"), OPTIONS).reason


def test_random_ids_are_no_difference() -> None:
    assert markup.compare(html(HEAD, ROWS), html(HEAD, ROWS, "ffff0"), OPTIONS).verdict == "same"


def test_a_changed_cell_is_named_by_row_and_column() -> None:
    assert reason(HEAD, [["pen", "10.99", "3"], *ROWS[1:]]) == "row 0, column price: 9.99 → 10.99"


def test_swapped_rows_are_told_as_such() -> None:
    assert reason(HEAD, [ROWS[1], ROWS[0], ROWS[2]]).startswith("order of rows, rows 0 and 1 are swapped")


def test_reordered_columns_are_told_as_such() -> None:
    rows = [[c, a, b] for a, b, c in ROWS]
    assert reason(["count", "item", "price"], rows) == "order of columns: item, price, count → count, item, price"


def test_a_renamed_column_is_told_as_such() -> None:
    assert reason(["item", "cost", "count"], ROWS) == "name of column 2: price → cost"


def test_a_row_that_is_gone_is_named() -> None:
    assert reason(HEAD, [ROWS[0], ROWS[2]]) == "row 1 is gone: 1, book, 12.50, 1"


def test_a_column_that_is_gone_is_named() -> None:
    assert reason(HEAD[:2], [r[:2] for r in ROWS]) == "column count is gone: count"


def test_the_colour_of_a_style_sheet_counts() -> None:
    other = html(HEAD, ROWS).replace("red", "blue")
    assert markup.compare(html(HEAD, ROWS), other, OPTIONS).reason.startswith("style: #id2 { color: red; }")


def test_spans_are_filled_in() -> None:
    spanned = "<table><tr><th rowspan=2>a</th><th>x</th><td>1</td></tr><tr><th>y</th><td>2</td></tr></table>"
    found = markup.compare(spanned, spanned.replace("2</td>", "3</td>"), OPTIONS)
    assert found.reason == "row a / y, column 1: 2 → 3"


CELLS = st.text(alphabet="abz019.- ", min_size=1, max_size=5).map(str.strip).filter(bool)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=6)
)


@given(TABLES, st.randoms(use_true_random=False))
def test_any_change_of_one_cell_is_found(rows: list[list[str]], chance: random.Random) -> None:
    head = [f"c{n}" for n in range(len(rows[0]))]
    changed = [list(row) for row in rows]
    changed[chance.randrange(len(rows))][chance.randrange(len(head))] += "7"
    assert markup.compare(html(head, rows), html(head, changed), OPTIONS).verdict == "differs"


@given(TABLES, st.randoms(use_true_random=False))
def test_any_other_order_of_rows_is_found(rows: list[list[str]], chance: random.Random) -> None:
    shuffled = chance.sample(rows, len(rows))
    verdict = delimited.compare(
        written([["h"] * len(rows[0]), *rows]), written([["h"] * len(rows[0]), *shuffled]), OPTIONS
    ).verdict
    assert verdict == ("same" if shuffled == rows else "differs")


def written(rows: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def test_a_csv_file_written_otherwise_is_close() -> None:
    assert delimited.compare("a,b\n1,2\n", 'a,b\r\n"1",2\r\n', OPTIONS).verdict == "close"


def test_a_csv_cell_is_named() -> None:
    assert delimited.compare("a;b\n1;2\n", "a;b\n1;3\n", OPTIONS).reason == "row 1, column b: 2 → 3"
