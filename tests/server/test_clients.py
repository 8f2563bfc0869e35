"""Jupyter clients outside our server, unchanged: what they start by the kernelspec is a session of the list, without network."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path

import jupyter_kernel_test
import nbformat
import pexpect
import pytest

from kernel_gateway.session.folder import SessionFolder, SessionStore
from tests.server.conftest import TOKEN, Serving, environment, free_port, wait_for_port

BIN = Path(sys.executable).parent
NETWORK = (
    "import socket\ntry:\n    socket.create_connection(('1.1.1.1', 53), 3)\nexcept OSError:\n    print('no way out')"
)


@pytest.fixture
def outside(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This process, and what it starts, as a person's own Jupyter."""
    for name, value in environment(place).items():
        monkeypatch.setenv(name, value)
    yield place


def sessions_with(place: Path, code: str) -> list[SessionFolder]:
    def ran(folder: SessionFolder) -> bool:
        return any(
            r["kind"] == "start" and r["source"].strip() == code
            for r in map(json.loads, folder.journal.read_text().splitlines())
        )

    return [folder for folder in SessionStore(place / "data") if ran(folder)]


def notebook(*sources: str) -> nbformat.NotebookNode:
    spec = {"name": "cell-gateway", "display_name": "Python, sandboxed", "language": "python"}
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})


def run(place: Path, *command: str) -> str:
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        env=environment(place),
        cwd=place,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_kernelspec_is_one_more(place: Path) -> None:
    ours = {**environment(place)}
    without = {k: v for k, v in ours.items() if k != "JUPYTER_PATH"}
    with_it, before = (
        json.loads(
            subprocess.run(
                [BIN / "jupyter", "kernelspec", "list", "--json"], env=e, capture_output=True, check=True
            ).stdout
        )
        for e in (ours, without)
    )
    assert set(with_it["kernelspecs"]) == {*before["kernelspecs"], "cell-gateway"}


def test_jupyter_execute_which_is_nbclient(place: Path) -> None:
    nbformat.write(notebook("n = 20", "print(n + 1)", NETWORK), place / "nb.ipynb")
    run(place, "jupyter-execute", "--inplace", "nb.ipynb")
    cells = nbformat.read(place / "nb.ipynb", 4).cells
    assert [cell.outputs[0].text for cell in cells[1:]] == ["21\n", "no way out\n"]
    (folder,) = sessions_with(place, "print(n + 1)")
    assert "print(n + 1)" in [cell.source for cell in nbformat.read(folder.notebook, 4).cells]


def test_papermill(place: Path) -> None:
    book = notebook("a = 1", "print('a is', a)", NETWORK)
    book.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(book, place / "in.ipynb")
    run(place, "papermill", "in.ipynb", "out.ipynb", "-p", "a", "5", "--no-progress-bar")
    assert nbformat.read(place / "out.ipynb", 4).cells[2].outputs[0].text == "a is 5\n"
    assert len(sessions_with(place, "print('a is', a)")) == 1


def test_jupyter_console(place: Path) -> None:
    console = pexpect.spawn(
        str(BIN / "jupyter-console"),
        ["--kernel", "cell-gateway", "--simple-prompt", "--ZMQTerminalInteractiveShell.kernel_timeout=60"],
        env=environment(place),
        cwd=str(place),
        timeout=90,
        encoding="utf-8",
    )
    try:
        console.expect(r"In \[\d*\]")
        console.sendline("print('from', 'the console')")
        console.expect("from the console")
        console.sendline("exit")
        console.expect(pexpect.EOF)
    finally:
        console.close(force=True)
    assert len(sessions_with(place, "print('from', 'the console')")) == 1


@pytest.mark.filterwarnings("default")
def test_jupyter_kernel_test_passes(outside: Path) -> None:
    class Ours(jupyter_kernel_test.KernelTests):
        kernel_name = "cell-gateway"
        language_name = "python"
        file_extension = ".py"
        code_hello_world = "print('hello, world')"
        code_stderr = "import sys; print('test', file=sys.stderr)"
        completion_samples = ({"text": "zi", "matches": {"zip"}},)
        complete_code_samples = ("1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n")
        incomplete_code_samples = ("print('''hello", "def f(x):\n  x*2")
        invalid_code_samples = ("import = 7q",)
        code_page_something = "zip?"
        code_generate_error = "raise"
        code_execute_result = ({"code": "1+2+3", "result": "6"},)
        code_display_data = (
            {"code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))", "mime": "text/html"},
        )
        code_history_pattern = "1?2*"
        supported_history_operations = ("tail", "search")
        code_inspect_sample = "zip"
        code_clear_output = "from IPython.display import clear_output; clear_output()"

    class Welcome(jupyter_kernel_test.IopubWelcomeTests):
        kernel_name = "cell-gateway"
        support_iopub_welcome = True

    result = unittest.TestResult()
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    unittest.TestSuite([load(Ours), load(Welcome)]).run(result)
    assert not result.failures and not result.errors, [text for _, text in result.failures + result.errors]
    assert result.testsRun == 13


def test_a_second_jupyter_server_in_front_of_us(serving: Serving) -> None:
    port = free_port()
    command = [
        str(BIN / "jupyter-server"),
        f"--port={port}",
        f"--IdentityProvider.token={TOKEN}",
        "--no-browser",
        "--allow-root",
    ]
    command += [f"--gateway-url=http://127.0.0.1:{serving.port}", f"--GatewayClient.auth_token={TOKEN}"]
    env = {**environment(serving.place), "KERNEL_SECRET": "of the front"}
    with (serving.place / "front.log").open("wb") as log:
        front = subprocess.Popen(command, env=env, cwd=serving.place, stdout=log, stderr=log)
    try:
        client = Serving(serving.place)
        client.port = port
        wait_for_port(port, front)
        kernel = client.new_kernel(name="python3")
        said = asyncio.run(client.run(kernel, f"import os\nprint('KERNEL_SECRET' in os.environ)\n{NETWORK}"))
        assert said == "False\nno way out\n"
        assert kernel in [row["id"] for row in serving.ask("GET", "/api/kernels").json()]
    finally:
        front.terminate()
        front.wait()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="jupyter-kernel-client needs Python 3.11")
def test_jupyter_kernel_client(serving: Serving) -> None:
    from jupyter_kernel_client import JupyterKernelClient

    with JupyterKernelClient(server_url=f"http://127.0.0.1:{serving.port}", token=TOKEN) as kernel:
        reply = kernel.execute("print(6 * 7)")
    assert reply["status"] == "ok" and reply["outputs"][0]["text"] == "42\n"
