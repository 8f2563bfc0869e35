"""What no two runs have in common is taken out of texts, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.replay.compare.model import Options
from kernel_gateway.replay.compare.normal import Names, normalise

OPTIONS = Options(workspaces=("/workspace", "/home/ann/shop/workspace"))
_MOVES = ["\x1b[31m", "\x1b[0m", "\x1b", "[31m", "\r", "\n", "\b", "\x1b[A", "\x1b[K", "\x1b[2K", "\x1b]0;t\x07"]
_PATHS = [
    "/tmp/tmpab12cd34",
    "/tmp/ipykernel_12/345.py",
    "/usr/lib/python3/dist-packages/x.py",
    "/home/ann/shop/workspace/a",
]
_OTHERS = [
    "at 0x7f3a5c6d7e8f>",
    "<function f ",
    ">",
    "Wall time: 1.2 s\n",
    " in 1.2s",
    "3 passed",
    "real\t0m0.1s\n",
    "x",
    "7",
    " ",
]
PIECES = st.sampled_from([*_MOVES, *_PATHS, *_OTHERS, "10%|#| 1/10 [00:01<00:09, 1.2it/s]"])
TEXTS = st.lists(PIECES | st.text(max_size=6), max_size=14).map("".join)


@given(TEXTS)
def test_normalising_twice_is_the_same_as_once(text: str) -> None:
    once = normalise(text, OPTIONS)
    assert normalise(once, OPTIONS) == once


@given(st.text(alphabet="abc 0123456789.,:;-+()[]{}'\"=\n", max_size=80), st.data())
def test_a_digit_of_plain_text_always_stays(text: str, data: st.DataObject) -> None:
    places = [i for i, c in enumerate(text) if c.isdigit()]
    if not places:
        return
    at = data.draw(st.sampled_from(places))
    other = data.draw(st.sampled_from([d for d in "0123456789" if d != text[at]]))
    assert normalise(text, OPTIONS) != normalise(text[:at] + other + text[at + 1 :], OPTIONS)


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ("<function f at 0x7f1234567890>", "<function f at 0x7fabcdefabcd>"),
        ("<generator object <genexpr> at 0x7f1234567890>", "<generator object <genexpr> at 0x7fabcdefabcd>"),
        ('<code object f at 0x7f1234567890, file "x">', '<code object f at 0x7fabcdefabcd, file "x">'),
        ("/tmp/ipykernel_12/3456.py:2: UserWarning", "/tmp/ipykernel_99/7777.py:2: UserWarning"),
        ("saved /tmp/tmpab12cd34/x", "saved /tmp/tmpzz99yy_8/x"),
        ("/image/lib/python3.11/site-packages/a.py", "/home/u/.venv/lib/python3.12/site-packages/a.py"),
        ("C:\\py\\Lib\\site-packages\\a.py:3: FutureWarning", "D:\\x\\site-packages\\a.py:3: FutureWarning"),
        ('File "/usr/lib/python3/dist-packages/a.py"', 'File "/opt/dist-packages/a.py"'),
        ("/workspace/a.csv", "/home/ann/shop/workspace/a.csv"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("  0%|  | 0/9\r100%|##| 9/9 [00:01<00:00, 8.5it/s]", "100%|##| 9/9 [00:02<00:00, 3.1it/s]"),
        ("working...\rdone      \n", "done\n"),
        ("a\r\nb", "a\nb"),
        (
            "CPU times: user 2 ms, sys: 1 ms, total: 3 ms\nWall time: 3.1 ms",
            "CPU times: user 4 ms, sys: 0 ns, total: 4 ms\nWall time: 4 ms",
        ),
        (
            "1.2 ms ± 30 µs per loop (mean ± std. dev. of 7 runs, 1,000 loops each)",
            "980 µs ± 9 µs per loop (mean ± std. dev. of 7 runs, 10,000 loops each)",
        ),
        ("real\t0m0.003s", "real\t0m1.100s"),
        ("=== 3 passed, 1 skipped in 0.12s ===", "=== 3 passed, 1 skipped in 1.50s ==="),
    ],
)
def test_these_are_the_same_in_two_runs(one: str, another: str) -> None:
    assert normalise(one, OPTIONS) == normalise(another, OPTIONS)


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ("0xdeadbeef", "0xdeadbeee"),
        ("found at 0x0804abcd", "found at 0x0804abce"),
        ("9/9 [00:01<00:00, 8.5it/s, loss=0.3]", "9/9 [00:01<00:00, 8.5it/s, loss=0.4]"),
        ("90%|# | 9/10 [00:01<00:00, 8.5it/s]", "100%|##| 10/10 [00:01<00:00, 8.5it/s]"),
        ("3 passed in 0.12s", "4 passed in 0.12s"),
        ("12 ms per step", "13 ms per step"),
        ("/home/ann/shop/workspace2/a", "/workspace2/a"),
        ("a" * 3 + "\rbb", "bb"),
    ],
)
def test_these_are_not(one: str, another: str) -> None:
    assert normalise(one, OPTIONS) != normalise(another, OPTIONS)


def test_a_long_text_without_spaces_is_read_once() -> None:
    text = "/9j/4AAQSkZJRg" * 200_000
    assert normalise(text, OPTIONS) == text


def test_ids_are_named_by_the_order_of_their_appearance() -> None:
    one, another = Names(), Names()
    for names, ids in ((one, ("T_a1", "T_a1_row0")), (another, ("T_ff", "T_ff_row0"))):
        for name in ids:
            names.define(name)
    assert one.replaced("#T_a1_row0, #T_a1 {}") == another.replaced("#T_ff_row0, #T_ff {}") == "#id2, #id1 {}"
