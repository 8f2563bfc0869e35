"""`cell-gateway run` as a new user tries it: what goes wrong is told, and the session goes on."""

from __future__ import annotations

import json
import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from .person import COMMAND, Finished, Person

pytestmark = pytest.mark.usefixtures("image")
ALLOCATE = """\
data = bytearray(20 * 1024**3)
for page in range(0, len(data), 4096):
    data[page] = 1
print("all of it")"""
LINES = 300_000


@pytest.fixture
def terminal(someone: Person) -> Iterator[pexpect.spawn[str]]:
    """An endless loop, given on standard input to `run -` in a terminal."""
    (someone.home / "loop.py").write_text("x = 1\nprint('begun', flush=True)\nwhile True:\n    pass\n")
    line = f"exec {shlex.join([*COMMAND, 'run', '-'])} < loop.py"
    environment = someone.environment(TERM="xterm-256color")
    child = pexpect.spawn("/bin/sh", ["-c", line], env=environment, encoding="utf-8", timeout=60, cwd=str(someone.home))
    yield child
    child.close(force=True)


def test_an_error_is_shown_with_exit_code_1(someone: Person) -> None:
    done = someone.call("run", "-", stdin="print('before')\nnothing_of_that_name")
    assert (done.code, done.out) == (1, "before\n")
    assert "NameError: name 'nothing_of_that_name' is not defined" in done.err
    assert f"Notebook: {someone.folder().notebook}" in done.err


def test_after_an_error_variables_are_there(someone: Person) -> None:
    someone.call("run", "-", stdin="x = 20\n1 / 0")
    assert someone.call("run", "-", "--session", "last", stdin="x + 1").out == "21\n"


def test_ctrl_c_ends_an_endless_loop_and_the_kernel_survives(someone: Person, terminal: pexpect.spawn[str]) -> None:
    terminal.expect("begun")
    terminal.sendintr()
    terminal.expect("KeyboardInterrupt")
    terminal.expect("The cell ended: interrupted")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert someone.call("run", "-", "--session", "last", stdin="x + 1").out == "2\n"


def test_os_exit_is_told_as_a_death_with_what_is_lost(someone: Person) -> None:
    someone.call("run", "-", stdin="x = 1")
    done = someone.call("run", "-", "--session", "last", stdin="import os; os._exit(1)")
    assert (done.code, done.out) == (1, "")
    assert "The kernel died: kernel exited. Status 1. Names lost: x." in done.err
    assert someone.call("run", "-", "--session", "last", stdin="'x' in globals()").out == "False\n"


@pytest.fixture
def allocated(someone: Person) -> Finished:
    """20 GB of which every page is touched, in a session that may have 1 GB."""
    someone.call("run", "-", "--name", "neighbour", stdin="y = 'alive'")
    return someone.call("run", "-", "--name", "greedy", stdin=ALLOCATE, CELL_GATEWAY_LIMITS_MEMORY="1 GB")


def test_too_large_an_allocation_ends_that_kernel_only(someone: Person, allocated: Finished) -> None:
    assert (allocated.code, allocated.out) == (1, "")
    assert "out of memory" in allocated.err or "MemoryError" in allocated.err
    assert someone.call("run", "-", "--session", "greedy", stdin="6 * 7").out == "42\n"
    assert someone.call("run", "-", "--session", "neighbour", stdin="y").out == "'alive'\n"


def test_300_000_lines_of_bash_all_arrive_and_are_all_in_the_notebook(someone: Person) -> None:
    done = someone.call("run", "-", "--language", "bash", stdin=f"seq {LINES}")
    expected = "".join(f"{n}\n" for n in range(1, LINES + 1))
    assert done.code == 0
    assert done.out == expected
    cells = json.loads(someone.folder().notebook.read_bytes())["cells"]
    (cell,) = (c for c in cells if "".join(c["source"]).startswith("%%bash\nseq"))
    assert "".join(line for output in cell["outputs"] for line in output["text"]) == expected


def test_an_output_over_the_limit_is_cut_with_counts_and_lies_whole_in_a_file(someone: Person) -> None:
    kept = {"CELL_GATEWAY_LIMITS_OUTPUT_KEPT": "1 MB"}
    done = someone.call("run", "-", "--language", "bash", stdin=f"seq {LINES}", **kept)
    total = sum(len(f"{n}\n") for n in range(1, LINES + 1))
    assert f"of {total:,} bytes are in the notebook; the whole is in outputs/" in done.err
    (whole,) = someone.folder().outputs.iterdir()
    assert whole.read_text() == "".join(f"{n}\n" for n in range(1, LINES + 1))


def test_json_tells_of_an_error(someone: Person) -> None:
    told = someone.call("run", "-", "--json", stdin="1 / 0")
    assert told.code == 1
    assert told.json.keys() == {"session", "cell", "exit", "outputs", "files", "notice"}
    assert told.json["exit"] == "error"
    assert [o["ename"] for o in told.json["outputs"]] == ["ZeroDivisionError"]


def test_json_tells_of_a_death(someone: Person) -> None:
    told = someone.call("run", "-", "--json", stdin="import os; os._exit(1)")
    assert (told.code, told.json["exit"], told.json["outputs"]) == (1, "died", [])
    assert "The kernel died" in told.json["notice"]


def test_json_tells_of_files(someone: Person) -> None:
    told = someone.call("run", "-", "--json", "--language", "bash", stdin="echo hello > made.txt")
    assert told.code == 0
    assert [(f["path"], f["bytes"]) for f in told.json["files"]] == [("made.txt", 6)]


def test_the_front_end_killed_while_a_cell_prints_loses_nothing(someone: Person, tmp_path: Path) -> None:
    source = "import time\nfor i in range(2000):\n    print(i)\n    time.sleep(0.001)\n"
    (tmp_path / "count.py").write_text(source)
    front_end = someone.start("run", str(tmp_path / "count.py"))
    assert front_end.stdout is not None
    with front_end:
        front_end.stdout.readline()
        os.kill(front_end.pid, signal.SIGKILL)
    someone.call("run", "-", "--session", "last", stdin="'next'")
    cells = json.loads(someone.folder().notebook.read_bytes())["cells"]
    (cell,) = (c for c in cells if "".join(c["source"]) == source.rstrip("\n"))
    printed = "".join(line for output in cell["outputs"] for line in output["text"])
    assert printed == "".join(f"{i}\n" for i in range(2000))
