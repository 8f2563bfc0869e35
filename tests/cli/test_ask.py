from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nbformat
import pytest

from kernel_gateway.scripted_model import Fault, Scripted, ScriptedModel, scripted_model_in_thread, text, tool_use

from .conftest import Cli, Finished

pytestmark = pytest.mark.usefixtures("image")
Ask = Callable[..., Finished]
Serve = Callable[..., ScriptedModel]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A model that follows a script, in place of a service."""
    with ExitStack() as stack:
        yield lambda *turns: stack.enter_context(scripted_model_in_thread(turns))


@pytest.fixture
def ask(cli: Cli, serve: Serve) -> Ask:
    """``ask`` with the model's replies; without a key, as with a server of one's own."""

    def call(turns: list[Any], *arguments: str | Path, prompt: str = "How many?", **environment: str) -> Finished:
        model = serve(*turns)
        return cli("ask", prompt, *arguments, ANTHROPIC_BASE_URL=model.base_url, NO_PROXY="*", **environment)

    return call


COUNT = Scripted([text("I count."), tool_use("toolu_1", "python", code="n = 6 * 7; print(n)")])
ANSWER = Scripted([text("There are 42.")])


def test_a_prompt_becomes_words_cells_and_a_notebook(ask: Ask, data: Path) -> None:
    done = ask([COUNT, ANSWER])
    assert done.code == 0
    assert done.out == "\nI count.\n\n| n = 6 * 7; print(n)\n42\n\nThere are 42.\n"
    (notebook,) = data.glob("sessions/*/notebook.ipynb")
    assert f"Notebook: {notebook}" in done.err
    cells = [cell["source"] for cell in nbformat.read(notebook, as_version=4).cells]
    prompt, *rest = [source for source in cells if "workspace" not in source]
    assert "How many?" in prompt
    assert rest == ["I count.", "n = 6 * 7; print(n)", "There are 42."]


def test_the_cost_is_told_and_unknown_where_no_price_is(ask: Ask) -> None:
    assert "out, $0." in ask([ANSWER]).err
    assert "cost unknown" in ask([ANSWER], "--model", "my-own").err


def test_json_has_the_answer_and_what_it_cost(ask: Ask) -> None:
    answer = ask([COUNT, ANSWER], "--json").json
    assert (answer["text"], answer["stop_reason"], answer["calls"]) == ("There are 42.", "end_turn", 2)
    assert Path(answer["notebook"]).is_file()
    assert answer["cost"] > 0


def test_a_file_goes_with_the_prompt(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a\n1\n2\n")
    read = Scripted([tool_use("toolu_1", "bash", command="wc -l < data.csv")])
    done = ask([read, ANSWER], "--file", tmp_path / "data.csv", "--json")
    assert [i["path"] for i in done.json["inputs"]] == ["data.csv"]


def test_a_second_ask_goes_on_with_variables_and_conversation(ask: Ask) -> None:
    session = ask([COUNT, ANSWER], "--json").json["session"]
    use = Scripted([tool_use("toolu_2", "python", code="print(n + 1)")])
    assert "43" in ask([use, ANSWER], "--session", session, prompt="One more").out


def test_what_leaves_the_machine_is_said_once(ask: Ask) -> None:
    assert "What leaves this machine" in ask([ANSWER]).err
    assert "What leaves this machine" not in ask([ANSWER]).err


def test_without_a_key_there_are_three_ways_on_and_nothing_is_made(cli: Cli, data: Path) -> None:
    done = cli("ask", "Hello")
    assert done.code == 2
    assert all(way in done.err for way in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "cell-gateway demo"))
    assert not list(data.glob("sessions/*"))


def test_a_service_that_refuses_is_an_error_and_the_notebook_stays(ask: Ask) -> None:
    overloaded = [Scripted([text("x")], fault=Fault("error_event", error_type="invalid_request_error"))]
    done = ask(overloaded)
    assert done.code == 1
    assert "Error:" in done.err
    assert "Notebook:" in done.err
    assert "Traceback" not in done.err


def test_an_unfinished_turn_is_finished_first(ask: Ask) -> None:
    broken = Scripted([text("x")], fault=Fault("error_event", error_type="invalid_request_error"))
    first = ask([COUNT, broken])
    assert first.code == 1
    second = ask([ANSWER, Scripted([text("And hello.")])], "--session", "last", prompt="Hello")
    assert second.code == 0
    assert second.out == "\nThere are 42.\n\nAnd hello.\n"
    assert "broke off" in second.err


def test_out_copies_the_notebook_and_spares_a_foreign_file(ask: Ask, tmp_path: Path) -> None:
    out = tmp_path / "copy.ipynb"
    assert f"Notebook: {out}" in ask([ANSWER], "--out", out).err
    assert nbformat.read(out, as_version=4).metadata["kernel_gateway"]["session"]
    out.write_text(json.dumps({"mine": True}))
    done = ask([ANSWER], "--out", out)
    assert (done.code, "no notebook of a session" in done.err) == (2, True)
    assert json.loads(out.read_text()) == {"mine": True}


def test_a_budget_without_a_known_price_is_refused_at_once(ask: Ask, data: Path) -> None:
    done = ask([ANSWER], "--model", "my-own", "--max-cost", "1")
    assert (done.code, "No price is known" in done.err) == (2, True)
    assert not list(data.glob("sessions/*"))


def test_the_limit_of_model_calls_ends_a_turn(ask: Ask) -> None:
    done = ask([COUNT, ANSWER], "--max-turns", "1")
    assert (done.code, "--max-turns" in done.err) == (1, True)


def test_the_words_of_a_model_cannot_act_on_the_terminal(ask: Ask) -> None:
    done = ask([Scripted([text("\x1b]52;c;aGk=\x07done\x1b[31m")])])
    assert "\x1b" not in done.out
    assert "done" in done.out
