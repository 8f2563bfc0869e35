from __future__ import annotations

import json
from typing import Any

import pytest

from kernel_gateway.notebook.setup import restart_cell
from kernel_gateway.supervisor.runs import RunResult
from kernel_gateway.tools import TOOLS, find
from kernel_gateway.tools.base import BadToolInput, Plan

PROMPT_CELL = '''get_ipython().run_cell_magic(
    "bash",
    "",
    """cat <<E
\\x3e>> x
E""",
)'''


def test_there_are_six_tools_in_a_fixed_order():
    names = ["python", "bash", "node", "str_replace_based_edit_tool", "present_files", "restart_kernel"]
    assert [tool.name for tool in TOOLS] == names
    assert [find(name) for name in names] == list(TOOLS)


def test_an_unknown_tool_is_refused_with_the_names_of_those_that_exist():
    with pytest.raises(BadToolInput, match=r"There is no tool 'shell'\. There are: python, bash"):
        find("shell")


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_schemas_are_the_same_bytes_each_time_and_sorted(tool: Any):
    first = json.dumps(tool.schema())
    tool.schema().clear()
    assert json.dumps(tool.schema()) == first == json.dumps(tool.schema(), sort_keys=True)


@pytest.mark.parametrize(
    ("name", "arguments", "plan"),
    [
        ("python", {"code": "1 + 1"}, Plan("cell", "1 + 1")),
        ("python", {"code": "x", "timeout": 900}, Plan("cell", "x", timeout=900.0)),
        ("python", {"code": "%%bash\nls"}, Plan("cell", "%%bash\nls", needs=("bash",))),
        ("bash", {"command": "ls\n"}, Plan("cell", "%%bash\nls\n", needs=("bash",))),
        (
            "bash",
            {"command": "# timeout: 900\nmake"},
            Plan("cell", "%%bash\n# timeout: 900\nmake", needs=("bash",), timeout=900.0),
        ),
        ("bash", {"command": "#timeout:1.5s"}, Plan("cell", "%%bash\n#timeout:1.5s", needs=("bash",), timeout=1.5)),
        ("bash", {"command": "ls\n# timeout: 9"}, Plan("cell", "%%bash\nls\n# timeout: 9", needs=("bash",))),
        ("bash", {"restart": True}, Plan("cell", "%bash_restart", needs=("bash",))),
        ("bash", {"restart": False, "command": "ls"}, Plan("cell", "%%bash\nls", needs=("bash",))),
        (
            "bash",
            {"command": "cat <<E\n>>> x\nE"},
            Plan("cell", PROMPT_CELL, needs=("bash",)),
        ),
        ("node", {"code": "1", "timeout": 2.5}, Plan("cell", "%%node\n1", needs=("node",), timeout=2.5)),
        (
            "present_files",
            {"paths": ["/workspace/a.pdf", "b.png", "./b.png"]},
            Plan("present", paths=("a.pdf", "b.png")),
        ),
        ("restart_kernel", {}, Plan("restart", restart_cell())),
    ],
)
def test_a_call_becomes_a_cell(name: str, arguments: dict[str, Any], plan: Plan):
    assert find(name).plan(arguments) == plan


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("python", {}, "`code` is missing."),
        ("python", {"code": 5}, "`code` must be a string."),
        ("python", {"code": "'\ud800'"}, "`code` holds half a character"),
        (
            "python",
            {"code": "1", "timeout": 3601},
            "`timeout` must be a number of seconds, more than 0 and at most 3600.",
        ),
        ("python", {"code": "1", "timeout": True}, "`timeout` must be"),
        ("python", {"code": "1", "timeout": "9"}, "`timeout` must be"),
        ("python", {"code": "1", "timeout": float("nan")}, "`timeout` must be"),
        ("bash", {}, "Give a `command`, or `restart`: true."),
        ("bash", {"command": "# timeout: 99999\n"}, "`timeout` must be"),
        ("bash", {"command": " \n"}, "`command` is empty."),
        ("node", {"code": None}, "`code` is missing."),
        ("present_files", {"paths": []}, "`paths` must be a list of one or more strings."),
        ("present_files", {"paths": "a"}, "`paths` must be a list"),
    ],
)
def test_bad_input_is_refused_in_words(name: str, arguments: dict[str, Any], message: str):
    with pytest.raises(BadToolInput) as raised:
        find(name).plan(arguments)
    assert str(raised.value).startswith(message)


def test_a_restart_says_what_it_did():
    done = RunResult("run", "cell", "ok")
    assert "bash was restarted" in find("bash").result({"restart": True}, done)[0]["text"]
    assert find("bash").result({"command": "true"}, done)[0]["text"] == "(no output)"
    assert "The kernel was restarted" in find("restart_kernel").result({}, done)[0]["text"]


def test_presented_files_are_named_with_what_is_missing():
    result = RunResult(
        "run", "cell", "error", files=[{"path": "a", "bytes": 5, "sha256": ""}], notice="not in the workspace: b."
    )
    assert (
        find("present_files").result({}, result)[0]["text"]
        == "Shown to the person:\n- a (5 bytes)\nnot in the workspace: b."
    )
