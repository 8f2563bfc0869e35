"""What a cell prints and shows: nothing lost, what is cut is counted, what is late stays with its run."""

from __future__ import annotations

import asyncio

from kernel_gateway.journal import BlobStore, read
from kernel_gateway.supervisor.runs import RunResult
from tests.conftest import LiveSession, NewSession


async def test_200_000_printed_lines_all_arrive(session: LiveSession) -> None:
    result = await session.python("for i in range(200_000): print(i)")
    assert result.stdout == "".join(f"{i}\n" for i in range(200_000))


async def test_300_000_lines_of_bash_all_arrive(session: LiveSession) -> None:
    result = await session.bash("for i in {1..300000}; do echo $i; done")
    assert result.stdout == "".join(f"{i}\n" for i in range(1, 300_001))


async def test_a_cut_output_says_how_much_is_kept_and_where_the_whole_is(new_session: NewSession) -> None:
    session = await new_session(settings={"limits.output_kept": "1 MB"})
    result = await session.python("for i in range(300_000): print(i)")
    whole = "".join(f"{i}\n" for i in range(300_000))
    assert result.total == len(whole)
    assert result.kept < result.total
    assert result.stdout.startswith("0\n1\n") and result.stdout.endswith("299999\n")
    assert result.whole and (session.folder.outputs / result.whole).read_text() == whole
    assert result.notice and f"{result.kept:,} of {result.total:,} bytes" in result.notice


async def test_the_whole_output_can_be_read_inside(new_session: NewSession) -> None:
    session = await new_session(settings={"limits.output_kept": "1 MB"})
    result = await session.python("for i in range(300_000): print(i)")
    inside = await session.python(f"print(len(open('/outputs/{result.whole}').read()))")
    assert inside.stdout == f"{result.total}\n"


async def test_stdout_and_stderr_are_kept_apart_and_each_in_order(session: LiveSession) -> None:
    result = await session.python("import sys\nfor i in range(500): print(i); print(-i, file=sys.stderr)")
    assert result.stdout == "".join(f"{i}\n" for i in range(500))
    assert result.stderr == "".join(f"{-i}\n" for i in range(500))


async def test_a_display_that_is_updated_shows_its_last_state(session: LiveSession) -> None:
    result = await session.python("h = display('one', display_id=True); h.update('two')")
    assert [o["data"]["text/plain"] for o in result.outputs] == ["'two'"]


async def test_clear_output_clears(session: LiveSession) -> None:
    code = "from IPython.display import clear_output\nprint('one'); clear_output(wait=True); print('two')"
    assert (await session.python(code)).stdout == "two\n"


async def test_a_display_of_20_mb_is_kept_whole(session: LiveSession) -> None:
    result = await session.python("display({'text/plain': 'x' * 20_000_000}, raw=True)")
    assert len(result.outputs[0]["data"]["text/plain"]) == 20_000_000
    recorded = RunResult.from_records(result.run, read(session.folder.journal).records, BlobStore(session.folder.blobs))
    assert recorded and recorded.outputs[0]["data"]["text/plain"] == "x" * 20_000_000


async def test_lone_surrogates_and_nan_do_no_harm(session: LiveSession) -> None:
    result = await session.python("print('a\\ud800b'); display({'application/json': {'x': float('nan')}}, raw=True)")
    assert result.exit in ("ok", "error")
    assert (await session.python("print('on')")).stdout == "on\n"


async def test_late_output_of_a_background_job_is_recorded(session: LiveSession) -> None:
    await session.python("import threading\nthreading.Timer(0.3, print, ['late words']).start()")
    for _ in range(200):
        text = str(read(session.folder.journal).records)
        if "late words" in text.replace("['late words']", ""):
            break
        await asyncio.sleep(0.05)
    outputs = [o for r in read(session.folder.journal).records if r["kind"] == "output" for o in r["outputs"]]
    assert any(o.get("text") == "late words\n" for o in outputs)
