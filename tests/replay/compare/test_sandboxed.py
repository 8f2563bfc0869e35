"""The comparer in a real sandbox: what breaks it breaks one verdict."""

from __future__ import annotations

import base64
import json

import pytest

from kernel_gateway.image.store import Image
from kernel_gateway.replay.compare import text
from kernel_gateway.replay.compare.model import Cell, Options, Part
from kernel_gateway.replay.compare.wire import Malformed, Pair, Request, pack, part_from_json, part_to_json, unpack
from kernel_gateway.replay.sandboxed import compare_in_sandbox
from kernel_gateway.sandbox.bubblewrap import BubblewrapEngine

from .test_cells import cell, display, stream
from .test_pictures import png


@pytest.fixture
def engine() -> BubblewrapEngine:
    return BubblewrapEngine()


async def test_a_notebook_is_compared_by_one_sandbox(engine: BubblewrapEngine, image: Image) -> None:
    one, two = (
        display(image_png=base64.b64encode(data).decode())
        for data in (png(), png(lambda i: i.putpixel((5, 5), (0, 0, 0))))
    )
    pairs = [
        Pair(cell(stream("a 1\n")), cell(stream("a 1\n"))),
        Pair(cell(one), cell(two)),
        Pair(cell(stream("t 1")), cell(stream("t 2")), cell(stream("t 3"))),
    ]
    same, changed, volatile = await compare_in_sandbox(engine, image.root, pairs)
    assert (same.verdict, changed.verdict, volatile.verdict) == ("same", "differs", "volatile")
    picture = next(p.picture for p in changed.parts if p.verdict == "differs")
    assert picture is not None and picture.startswith(b"\x89PNG")


async def test_what_crashes_the_comparer_is_an_error_of_that_item_alone(engine: BubblewrapEngine, image: Image) -> None:
    deep = [b"[" * 100_000 + digit + b"]" * 100_000 for digit in (b"1", b"2")]
    before, after = (Cell(files={"a.csv": b"x\n1\n", "deep.json": d, "z.txt": d[100_000:100_001]}) for d in deep)
    first, second = await compare_in_sandbox(engine, image.root, [Pair(before, after), Pair(before, before)])
    found = {p.where: (p.verdict, p.reason) for p in first.parts}
    assert found["deep.json"] == ("error", "could not be compared: it is nested too deeply")
    assert found["z.txt"][0] == "differs"
    assert second.verdict == "same"


async def test_what_takes_too_long_is_an_error_of_that_item_alone(engine: BubblewrapEngine, image: Image) -> None:
    pairs = [Pair(cell(stream("a")), cell(stream("b")))] * 2
    verdicts = await compare_in_sandbox(engine, image.root, pairs, timeout=0.0)
    assert {v.verdict for v in verdicts} == {"error"}
    assert "could not be compared: it took too long" in verdicts[0].reason


def test_pairs_come_through_as_they_were() -> None:
    pair = Pair(
        cell(stream("a"), files={"x": b"\0\n\xff", "y": b""}), cell(exit="error", ename="E", evalue="v"), cell()
    )
    (back,) = unpack(pack(Request([pair], Options(), 1.0, 1.0))).pairs
    assert back.recorded.files == pair.recorded.files
    assert list(back.again.outputs) == list(pair.again.outputs)
    assert (back.again.exit, back.again.ename, back.again.evalue, back.second is not None) == ("error", "E", "v", True)


def test_an_answer_is_cut_and_cleaned() -> None:
    part = part_from_json(
        {
            **part_to_json(Part("x\x1b[31m", "text", "differs", "y" * 10_000)),
            "picture": "bm8gcG5n",
            "numbers": {"a": "b"},
        }
    )
    assert part.where == "x\ufffd[31m"
    assert len(part.reason) == 4000
    assert part.picture is None
    assert part.numbers == {}


@pytest.mark.parametrize("answer", [None, 3, {}, {"verdict": "fine"}, []])
def test_an_answer_without_a_verdict_is_refused(answer: object) -> None:
    with pytest.raises(Malformed):
        part_from_json(answer)


def test_a_part_comes_through_as_it_was() -> None:
    found = text.compare("a 1\nb\n", "a 2\nb\n", Options())
    part = Part(
        "stdout",
        "stream",
        found.verdict,
        found.reason,
        found.changes,
        found.numbers,
        png(),
        found.excerpt,
        "p",
        (0, None),
    )
    assert part_from_json(json.loads(json.dumps(part_to_json(part)))) == part
