from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel_gateway.notebook.setup import bash_cell, setup_cell

from .plain_kernel import PlainKernel, Ran, plain_kernel


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainKernel]:
    with plain_kernel(tmp_path_factory.mktemp("bash"), setup_cell(), bash_cell()) as kernel:
        yield kernel


@pytest.fixture
def kernel(shared: PlainKernel) -> PlainKernel:
    """With a shell of its own."""
    shared.run("%bash_restart")
    return shared


FAILED = "Command 'bash' returned non-zero exit status {}."


def test_the_folder_persists(kernel: PlainKernel):
    kernel.bash("mkdir -p data && cd data")
    assert kernel.bash("basename $PWD").stdout == "data\n"


@pytest.mark.parametrize(
    ("made", "used", "shown"),
    [
        ("X=5", "echo $X", "5"),
        ("export X=6", "sh -c 'echo $X'", "6"),
        ("f() { echo got $1; }", "f it", "got it"),
        ("a=(1 '2 3')", 'echo "${a[1]}"', "2 3"),
        ("declare -A m=([k]=v)", "echo ${m[k]}", "v"),
        ("alias hi='echo hello'", "hi you", "hello you"),
        ("shopt -s extglob", "shopt extglob", "extglob        \ton"),
        ("set -o pipefail", "false | true || echo failed", "failed"),
        ("umask 077", "umask", "0077"),
        ("exec 5</dev/null", "read <&5 || echo open", "open"),
        ("sleep 60 &", "jobs -r | cut -c 1-15; kill $!", "[1]+  Running  "),
    ],
)  # fmt: skip
def test_state_persists(kernel: PlainKernel, made: str, used: str, shown: str):
    assert kernel.bash(made).error is None
    assert kernel.bash(used).stdout == shown + "\n"


def test_a_failing_last_command_is_an_error_without_frames_or_paths(kernel: PlainKernel):
    ran = kernel.bash("nosuchcommand")
    assert ran.stderr == "bash: nosuchcommand: command not found\n"
    assert ran.error == ("CalledProcessError", FAILED.format(127))
    assert ran.traceback == ["CalledProcessError: " + FAILED.format(127)]


@pytest.mark.parametrize(
    ("end", "status"), [("exit 3", 3), ("set -e; false; echo not here", 1), ("f() { exit 4; }; f", 4)]
)
def test_a_shell_that_ends_leaves_its_state_to_the_next(kernel: PlainKernel, end: str, status: int):
    kernel.bash("mkdir -p data && cd data; a=(1 2); export E=e; declare -r R=r; g() { echo g; }; shopt -s nullglob")
    assert kernel.bash(f"X=new; {end}").error == ("CalledProcessError", FAILED.format(status))
    ran = kernel.bash("set +e; basename $PWD; echo $X ${a[1]} $R; sh -c 'echo $E'; g; shopt -q nullglob && echo on")
    assert ran.stdout == "data\nnew 2 r\ne\ng\non\n"


def test_a_shell_that_ends_well_is_no_error(kernel: PlainKernel):
    assert kernel.bash("X=7; exit 0").error is None
    assert kernel.bash("echo $X").stdout == "7\n"


def test_a_killed_shell_comes_back_as_it_was_before_the_cell(kernel: PlainKernel):
    kernel.bash("X=1")
    ran = kernel.bash("X=2; kill -9 $$")
    assert ran.error == ("CalledProcessError", "Command 'bash' died with <Signals.SIGKILL: 9>.")
    assert "from before this cell" in ran.stderr
    assert kernel.bash("echo $X").stdout == "1\n"


def test_a_program_that_replaces_the_shell_gives_its_status(kernel: PlainKernel):
    kernel.bash("X=1")
    ran = kernel.bash("exec sh -c 'echo mine; exit 7'")
    assert (ran.stdout, ran.error) == ("mine\n", ("CalledProcessError", FAILED.format(7)))
    assert kernel.bash("echo $X").stdout == "1\n"


def test_an_open_quote_is_an_error_with_a_fixed_name_and_the_shell_lives(kernel: PlainKernel):
    kernel.bash("X=1")
    ran = kernel.bash('echo one\necho "open')
    assert ran.stdout == "one\n"
    assert ran.stderr.startswith("bash: /dev/fd/99: line 2: unexpected EOF")
    assert ran.error == ("CalledProcessError", FAILED.format(2))
    assert kernel.bash("echo $X").stdout == "1\n"


def test_stdin_is_empty(kernel: PlainKernel):
    assert kernel.bash('read x; echo "[$x]"; cat; echo end').stdout == "[]\nend\n"


@pytest.mark.parametrize(
    "busy",
    [
        "echo ready; sleep 60",
        "echo ready; while :; do :; done",
        "echo ready; yes | cat >/dev/null",
        "python3 -c 'import time; print(\"ready\", flush=True); time.sleep(60)' 2>/dev/null",
        "f() { echo ready; sleep 60; }; f; echo not here",
    ],
)
def test_an_interrupt_ends_the_cell_and_leaves_the_shell(kernel: PlainKernel, busy: str):
    kernel.bash("X=1; pid=$$")
    ran = kernel.interrupted(f"%%bash\n{busy}")
    assert (ran.stdout, ran.stderr) == ("ready\n", "")
    assert (ran.error, ran.traceback) == (("KeyboardInterrupt", ""), ["KeyboardInterrupt"])
    assert kernel.bash("echo $X; [ $pid = $$ ] && echo same").stdout == "1\nsame\n"


def test_what_ignores_an_interrupt_is_killed_and_the_state_before_it_comes_back(kernel: PlainKernel):
    kernel.bash("X=1")
    ran = kernel.interrupted("%%bash\ntrap '' INT; echo ready; sleep 60")
    assert ran.error == ("KeyboardInterrupt", "")
    assert "bash was killed" in ran.stderr
    assert kernel.bash("echo $X").stdout == "1\n"


def test_a_background_job_survives_an_interrupt(kernel: PlainKernel):
    kernel.bash("sleep 60 &")
    kernel.interrupted("%%bash\necho ready; sleep 60")
    assert kernel.bash("kill $! && echo killed").stdout == "killed\n"


def test_output_sent_to_a_file_comes_back_with_the_next_cell(kernel: PlainKernel):
    assert kernel.bash("exec >out.txt 2>&1; echo to the file").stdout == ""
    assert kernel.bash("cat out.txt; rm out.txt").stdout == "to the file\n"


def test_300_000_lines_lose_nothing_and_come_in_few_messages(kernel: PlainKernel):
    ran = kernel.bash("seq 1 300000")
    assert ran.stdout == "".join(f"{i}\n" for i in range(1, 300_001))
    assert ran.messages < 300


def test_both_streams_keep_their_order(kernel: PlainKernel):
    ran = kernel.bash("for i in $(seq 2000); do echo out $i; echo err $i >&2; done")
    assert ran.stdout == "".join(f"out {i}\n" for i in range(1, 2001))
    assert ran.stderr == "".join(f"err {i}\n" for i in range(1, 2001))


def test_output_streams_while_the_cell_runs(kernel: PlainKernel, tmp_path: Path):
    flag = tmp_path / "seen"
    ran = kernel.run(
        f"%%bash\necho first; until [ -e {flag} ]; do sleep 0.02; done; echo second", lambda _: flag.touch()
    )
    assert ran.stdout == "first\nsecond\n"


def test_a_character_cut_in_two_writes_is_whole(kernel: PlainKernel):
    assert kernel.bash(r"printf '\xe2\x82'; sleep 0.05; printf '\xac\n'").stdout == "€\n"
    long = kernel.bash("for i in {1..100001}; do printf é; done").stdout
    assert long == "é" * 100_001


def test_binary_output_is_replaced_and_ends_with_the_cell(kernel: PlainKernel):
    assert kernel.bash(r"printf '\xff\x00\xe2\x82'").stdout == "\ufffd\0\ufffd"
    assert kernel.bash("echo next").stdout == "next\n"


def test_the_script_may_hold_any_character(kernel: PlainKernel):
    ran = kernel.bash("cat <<'EOF'\né 😀 $X `x` \\ \"' \x07 tab\there\nEOF")
    assert ran.stdout == "é 😀 $X `x` \\ \"' \x07 tab\there\n"


def test_late_output_of_a_job_comes_with_the_next_bash_cell(kernel: PlainKernel):
    kernel.bash("(until [ -e go ]; do sleep 0.02; done; rm go; echo late) &")
    assert kernel.bash("touch go; wait").stdout == "late\n"


def test_an_activated_prompt_shows_nowhere(kernel: PlainKernel):
    kernel.bash("export PS1='(venv) $ ' PROMPT_COMMAND='echo prompted'")
    ran = kernel.bash("echo one")
    assert (ran.stdout, ran.stderr) == ("one\n", "")


def test_traces_show_the_cell_and_not_what_runs_it(kernel: PlainKernel):
    kernel.bash("set -x")
    ran = kernel.bash("echo one")
    assert (ran.stdout, ran.stderr) == ("one\n", "++ echo one\n")


def test_functions_named_like_builtins_do_no_harm(kernel: PlainKernel):
    kernel.bash("printf() { echo mine; }; source() { echo mine; }; cd() { echo mine; }; alias trap=false")
    assert kernel.bash("printf x").stdout == "mine\n"
    assert kernel.bash("echo next").stdout == "next\n"


def test_noclobber_and_errexit_hold_without_harm(kernel: PlainKernel):
    kernel.bash("set -C; set -e; X=1")
    assert kernel.bash("X=2; echo $X").stdout == "2\n"
    kernel.bash("X=3; false")
    assert kernel.bash("echo $X; echo $- | grep -c e").stdout == "3\n1\n"


def test_emptied_temporary_folders_do_no_harm(kernel: PlainKernel):
    kernel.run(
        "import glob, shutil, tempfile\nfor path in glob.glob(tempfile.gettempdir() + '/bash-*'): shutil.rmtree(path)"
    )
    assert kernel.bash("echo one").stdout == "one\n"


def test_python_and_bash_have_folders_of_their_own(kernel: PlainKernel):
    kernel.bash("mkdir -p data && cd data")
    assert kernel.run("import os; print(os.path.basename(os.getcwd()))").stdout != "data\n"


def test_restart_begins_anew_and_ends_jobs(kernel: PlainKernel):
    kernel.bash("X=1; mkdir -p data && cd data; sleep 60 & echo $! >../pid")
    assert kernel.run("%bash_restart") == Ran()
    job_runs = "grep -s State: /proc/$(cat pid)/status | grep -qv Z"
    assert kernel.bash(f"echo [$X]; while {job_runs}; do sleep 0.02; done; rm pid; echo gone").stdout == "[]\ngone\n"


def test_the_set_up_may_run_again_and_keeps_the_shell(kernel: PlainKernel):
    kernel.bash("X=1")
    kernel.run(setup_cell())
    kernel.run(bash_cell())
    assert kernel.bash("echo $X").stdout == "1\n"


def test_options_give_the_plain_magic(kernel: PlainKernel):
    assert kernel.run("%%bash --out text\necho plain").error is None
    assert kernel.run("print(text, end='')").stdout == "plain\n"


def test_names_of_builtins_that_the_notebook_uses_do_no_harm(kernel: PlainKernel):
    kernel.run("int = print = all = type = open = str = None")
    assert kernel.bash("echo one").stdout == "one\n"
    kernel.run("del int, print, all, type, open, str")


def test_a_missing_bash_says_what_is_needed(tmp_path: Path):
    with plain_kernel(tmp_path, bash_cell(), "import os; os.environ['PATH'] = '/nonexistent'") as kernel:
        ran = kernel.bash("true")
    assert ran.traceback == ["RuntimeError: %%bash cells need bash 4.4 or newer on PATH."]
