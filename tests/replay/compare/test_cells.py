"""A cell: its end, outputs, streams and files."""

from __future__ import annotations

from typing import Any

from kernel_gateway.replay.compare.cells import compare_cell
from kernel_gateway.replay.compare.model import Cell, CellVerdict


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def display(**data: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {k.replace("_", "/"): v for k, v in data.items()}, "metadata": {}}


def cell(*outputs: dict[str, Any], **fields: Any) -> Cell:
    return Cell(outputs=outputs, **fields)


def failed(name: str, value: str) -> Cell:
    return cell({"output_type": "error", "ename": name, "evalue": value, "traceback": ["x"]}, exit="error")


def worst(verdict: CellVerdict) -> list[tuple[str, str]]:
    return [(p.where, p.verdict) for p in verdict.parts if p.verdict != "same"]


def test_how_a_stream_is_cut_is_no_difference() -> None:
    assert compare_cell(cell(stream("a\n"), stream("b\n")), cell(stream("a\nb\n"))).verdict == "same"


def test_the_two_streams_are_compared_apart() -> None:
    mixed = cell(stream("a\n"), stream("warn\n", "stderr"), stream("b\n"))
    assert compare_cell(mixed, cell(stream("warn\n", "stderr"), stream("a\nb\n"))).verdict == "same"
    assert worst(compare_cell(mixed, cell(stream("a\nb\n"), stream("warm\n", "stderr")))) == [("stderr", "differs")]


def test_an_output_that_is_gone_is_missing_and_the_others_still_match() -> None:
    one, two, three = (display(text_plain=t) for t in ("1", "2", "3"))
    assert worst(compare_cell(cell(one, two, three), cell(one, three))) == [("output 2", "missing")]


def test_an_output_that_is_new_differs() -> None:
    one, two = (display(text_plain=t) for t in ("1", "2"))
    assert worst(compare_cell(cell(one), cell(one, two))) == [("output 2", "differs")]


def test_outputs_in_another_order_differ() -> None:
    one, two = (display(text_plain=t) for t in ("1", "2"))
    assert compare_cell(cell(one, two), cell(two, one)).verdict != "same"


def test_the_number_of_an_execution_is_no_difference() -> None:
    results = [
        {"output_type": "execute_result", "data": {"text/plain": "4"}, "metadata": {}, "execution_count": n}
        for n in (1, 7)
    ]
    assert compare_cell(cell(results[0]), cell(results[1])).verdict == "same"


def test_a_new_error_is_an_error_and_the_traceback_is_no_part_of_it() -> None:
    verdict = compare_cell(cell(stream("4\n")), failed("NameError", "name 'x' is not defined"))
    assert verdict.verdict == "error"
    assert verdict.raised == "NameError: name 'x' is not defined"


def test_the_same_error_is_the_same() -> None:
    again = failed("ValueError", "bad <object at 0x7f0000000001>")
    assert compare_cell(failed("ValueError", "bad <object at 0x7f0000000002>"), again).verdict == "same"


def test_another_message_differs_and_another_type_is_an_error() -> None:
    assert compare_cell(failed("ValueError", "3 gaps"), failed("ValueError", "4 gaps")).verdict == "differs"
    assert compare_cell(failed("ValueError", "3 gaps"), failed("TypeError", "3 gaps")).verdict == "error"


def test_an_error_that_is_gone_differs() -> None:
    assert (
        compare_cell(failed("ValueError", "3 gaps"), cell()).reason
        == "how it ended: it ends well now; before: ValueError: 3 gaps"
    )


def test_a_cell_that_was_not_run_is_missing() -> None:
    assert compare_cell(cell(stream("a")), Cell(exit=None)).verdict == "missing"


def test_files_are_parts_too() -> None:
    before, after = cell(files={"a.csv": b"x\n1\n", "b.txt": b"b"}), cell(files={"a.csv": b"x\n2\n", "c.txt": b"c"})
    assert worst(compare_cell(before, after)) == [("a.csv", "differs"), ("b.txt", "missing"), ("c.txt", "differs")]


def test_the_size_that_a_picture_is_shown_at_counts() -> None:
    def shown(width: int) -> dict[str, Any]:
        return {**display(image_png="AAAA"), "metadata": {"image/png": {"width": width}, "needs_background": "light"}}

    assert worst(compare_cell(cell(shown(100)), cell(shown(200)))) == [("output 1, size on the page", "differs")]


def test_a_picture_that_cannot_be_read_differs_from_another_one() -> None:
    assert compare_cell(cell(display(image_png="AAAA")), cell(display(image_png="AAAB"))).verdict == "differs"
