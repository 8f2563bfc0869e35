"""``chat`` on a real terminal, with a scripted model."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pexpect
import pytest

from kernel_gateway.scripted_model import Scripted, scripted_model_in_thread, text, tool_use

from .conftest import COMMAND, Cli

pytestmark = pytest.mark.usefixtures("image")


# What prompt_toolkit writes when it begins to read a line.
READY = "\x1b[?2004h"


class Chat:
    """What a person types, and waits to see."""

    def __init__(self, child: pexpect.spawn[str]) -> None:
        self.child = child

    def type(self, line: str) -> None:
        self.sees(READY)
        self.child.send(line + "\r")

    def sees(self, words: str) -> None:
        self.child.expect(re.escape(words))

    def ends(self) -> int:
        self.child.expect(pexpect.EOF)
        self.child.close()
        return int(self.child.exitstatus or 0)


@pytest.fixture
def chat(cli: Cli, tmp_path: Path) -> Iterator[Callable[..., Chat]]:
    with ExitStack() as stack:

        def start(turns: list[Any], *arguments: str) -> Chat:
            model = stack.enter_context(scripted_model_in_thread(turns))
            environment = {
                **os.environ,
                "TERM": "xterm-256color",
                "ANTHROPIC_BASE_URL": model.base_url,
                "NO_PROXY": "*",
            }
            environment |= {"PROMPT_TOOLKIT_NO_CPR": "1"}
            environment.pop("ANTHROPIC_API_KEY", None)
            child = pexpect.spawn(
                sys.executable,
                [*COMMAND[1:], "chat", *arguments],
                env=environment,
                encoding="utf-8",
                timeout=60,
                cwd=str(tmp_path),
                dimensions=(40, 120),
            )
            stack.callback(child.close, force=True)
            return Chat(child)

        yield start


def test_a_conversation_with_a_cell_a_file_and_the_end(chat: Callable[..., Chat], cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a\n1\n")
    count = Scripted([text("I look."), tool_use("toolu_1", "python", code="n = 6 * 7; print(n)")])
    talk = chat([count, Scripted([text("It is 42.")]), Scripted([text("Bye.")])])
    talk.type("/file data.csv")
    talk.sees("goes with your next message")
    talk.type("How many?")
    talk.sees("I look.")
    talk.sees("42")
    talk.sees("It is 42.")
    talk.type("/files")
    talk.sees("data.csv")
    talk.type("/cost")
    talk.sees("in this chat")
    talk.type("/nonsense")
    talk.sees("There is no command /nonsense")
    talk.type("Thanks")
    talk.sees("Bye.")
    talk.sees(READY)
    talk.child.sendeof()
    talk.sees("Notebook:")
    assert talk.ends() == 0
    assert cli("run", "-", "-s", "last", stdin="n").out == "42\n"


def test_ctrl_c_interrupts_a_turn_and_the_chat_goes_on(chat: Callable[..., Chat]) -> None:
    loop = Scripted([tool_use("toolu_1", "python", code="print('begun', flush=True)\nwhile True: pass")])
    talk = chat([loop, Scripted([text("Well.")])])
    talk.type("Loop")
    talk.sees("begun")
    talk.sees("begun")
    talk.child.sendintr()
    talk.sees("KeyboardInterrupt")
    talk.type("And now?")
    talk.sees("Well.")
    talk.type("/stop")
    assert talk.ends() == 0


def test_a_restart_forgets_variables(chat: Callable[..., Chat]) -> None:
    first = Scripted([tool_use("toolu_1", "python", code="n = 1")])
    second = Scripted([tool_use("toolu_2", "python", code="print('n' in globals())")])
    done = Scripted([text("Done.")])
    talk = chat([first, done, second, done])
    talk.type("Set")
    talk.sees("Done.")
    talk.type("/restart")
    talk.sees("a new one")
    talk.type("Look")
    talk.sees("False")


def test_chat_without_a_terminal_names_ask(cli: Cli) -> None:
    done = cli("chat", ANTHROPIC_API_KEY="x")
    assert (done.code, "cell-gateway ask" in done.err) == (2, True)
