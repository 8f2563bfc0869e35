"""A fork takes the conversation along, up to its cell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kernel_gateway.agent.history import validate_history
from kernel_gateway.scripted_model import Scripted, scripted_model_in_thread, text, tool_use

from .conftest import Cli

pytestmark = pytest.mark.usefixtures("image")

PLOT = "import matplotlib.pyplot as plt; plt.plot([1]); plt.show(); n = 1"
TWO = Scripted(
    [text("Both."), tool_use("c1", "python", code=PLOT), tool_use("c2", "python", code="n = 2; print('two')")]
)
DONE = Scripted([text("Done.")])


def ask(cli: Cli, turns: Sequence[Scripted], prompt: str, *arguments: str) -> list[dict[str, Any]]:
    """The messages of the last request."""
    with scripted_model_in_thread(turns) as model:
        done = cli("ask", prompt, *arguments, ANTHROPIC_BASE_URL=model.base_url, NO_PROXY="*")
        assert done.code == 0, done.err
        return model.requests[-1]["messages"]


def test_ask_on_a_fork_goes_on_with_the_conversation_up_to_its_cell(cli: Cli, data: Path) -> None:
    ask(cli, [DONE], "Hello.")
    session = next((data / "sessions").iterdir()).name
    ask(cli, [TWO, DONE], "Do it.", "-s", session)
    forked = cli("fork", session, "--at", "t2-c1", "--name", "fork", "--json")
    assert (forked.code, forked.json["messages"]) == (0, 5), forked.err
    messages = ask(cli, [Scripted([tool_use("c3", "python", code="print(n)")]), DONE], "Go on.", "-s", "fork")
    validate_history(messages)
    kinds = ["+".join(b["type"] for b in m["content"]) for m in messages]
    assert kinds[:4] == ["text", "text", "text", "text+tool_use+tool_use"]
    first, second, told, prompt = messages[4]["content"]
    assert [b["type"] for b in first["content"]][-1] == "image"
    assert (second["tool_use_id"], second["is_error"], "fork" in second["content"][0]["text"]) == ("c2", True, True)
    assert f"fork of {session}" in told["text"]
    assert "Go on." in prompt["text"]
    assert "1" in messages[6]["content"][0]["content"][0]["text"]
    notebook = json.loads((data / "sessions" / "fork" / "notebook.ipynb").read_text())
    sources = ["".join(c["source"]) for c in notebook["cells"]]
    assert not [s for s in sources if "'two'" in s]
    assert notebook["metadata"]["kernel_gateway"]["origin"]["session"] == session


def test_a_fork_of_cells_that_no_model_ran_has_no_conversation(cli: Cli) -> None:
    cli("run", "-", "--name", "amber", stdin="x = 1")
    assert cli("fork", "amber", "--at", "2", "--name", "fork", "--json").json["messages"] == 0
    (only,) = ask(cli, [DONE], "Hello.", "-s", "fork")
    assert "Hello." in only["content"][-1]["text"]
