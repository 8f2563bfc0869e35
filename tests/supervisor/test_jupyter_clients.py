"""From outside the supervisor is the kernel: clients that know nothing of us work, and what they run is in the notebook."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest_asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient

from kernel_gateway.journal import read
from tests.conftest import LiveSession


@pytest_asyncio.fixture
async def kernel_client(session: LiveSession) -> AsyncIterator[AsyncKernelClient]:
    client = AsyncKernelClient()
    client.load_connection_file((await session.client.hello())["connection_file"])
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    yield client
    client.stop_channels()
    client.context.destroy(linger=0)


async def outputs_of(
    client: AsyncKernelClient, code: str, **options: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    seen: list[dict[str, Any]] = []
    reply = await client.execute_interactive(code, output_hook=seen.append, timeout=60, **options)
    return reply["content"], seen


async def test_a_cell_has_the_messages_of_the_protocol_in_order(kernel_client: AsyncKernelClient) -> None:
    reply, seen = await outputs_of(kernel_client, "print(1); 2")
    assert [m["msg_type"] for m in seen] == ["status", "execute_input", "stream", "execute_result", "status"]
    assert reply["status"] == "ok"
    assert reply["user_expressions"] == {}


async def test_the_clients_own_user_expressions_come_back(kernel_client: AsyncKernelClient) -> None:
    reply, _ = await outputs_of(kernel_client, "x = 3", user_expressions={"mine": "x * 2"})
    assert reply["user_expressions"]["mine"]["data"]["text/plain"] == "6"


async def test_the_acknowledgement_comes_after_the_end_is_on_disk(
    session: LiveSession, kernel_client: AsyncKernelClient
) -> None:
    for i in range(30):
        await outputs_of(kernel_client, f"print({i})")
        records = read(session.folder.journal).records
        assert records[-1]["kind"] == "end"


async def test_completion_and_inspection_pass_through(kernel_client: AsyncKernelClient) -> None:
    await outputs_of(kernel_client, "wonderful = 1")
    kernel_client.complete("wonderf")
    assert (await kernel_client.get_shell_msg(timeout=30))["content"]["matches"] == ["wonderful"]
    kernel_client.inspect("wonderful")
    assert (await kernel_client.get_shell_msg(timeout=30))["content"]["found"]


async def test_kernel_info_is_answered_while_a_cell_runs(
    session: LiveSession, kernel_client: AsyncKernelClient
) -> None:
    running = asyncio.create_task(session.python("import time; time.sleep(30)", run="long"))
    while (await session.client.hello())["running"] != "long":
        await asyncio.sleep(0.02)
    kernel_client.kernel_info()
    assert (await kernel_client.get_shell_msg(timeout=10))["content"]["implementation"] == "ipython"
    await session.client.interrupt("long")
    await running


async def test_a_failed_cell_aborts_what_the_client_had_queued(kernel_client: AsyncKernelClient) -> None:
    for code in ("a = 1", "1 / 0", "b = 2"):
        kernel_client.execute(code)
    replies = list[str]()
    while len(replies) < 3:
        # Of a busy machine there may be more answers to the question whether the kernel is ready.
        message = await kernel_client.get_shell_msg(timeout=30)
        if message["msg_type"] == "execute_reply":
            replies.append(message["content"]["status"])
    assert replies == ["ok", "error", "aborted"]


async def test_input_is_asked_of_the_client_that_runs_the_cell(kernel_client: AsyncKernelClient) -> None:
    _, seen = await outputs_of(
        kernel_client, "print(input('name? '))", allow_stdin=True, stdin_hook=lambda message: kernel_client.input("Ada")
    )
    assert [m["content"]["text"] for m in seen if m["msg_type"] == "stream"] == ["Ada\n"]


async def test_an_interrupt_request_stops_the_running_cell(kernel_client: AsyncKernelClient) -> None:
    kernel_client.execute("import time; print('on', flush=True); time.sleep(60)")
    while (await kernel_client.get_iopub_msg(timeout=30))["msg_type"] != "stream":
        pass
    kernel_client.control_channel.send(kernel_client.session.msg("interrupt_request", {}))
    assert (await kernel_client.get_shell_msg(timeout=30))["content"]["ename"] == "KeyboardInterrupt"


async def test_a_death_is_an_error_reply_and_the_session_goes_on(kernel_client: AsyncKernelClient) -> None:
    reply, _ = await outputs_of(kernel_client, "import os; os._exit(3)")
    assert (reply["status"], reply["ename"]) == ("error", "KernelDied")
    reply, _ = await outputs_of(kernel_client, "print('on')")
    assert reply["status"] == "ok"


async def test_a_comm_opens_and_answers(kernel_client: AsyncKernelClient) -> None:
    code = """
def opened(comm, message):
    comm.on_msg(lambda m: comm.send({'echo': m['content']['data']}))
get_ipython().kernel.comm_manager.register_target('echo', opened)
"""
    await outputs_of(kernel_client, code)
    session = kernel_client.session
    kernel_client.shell_channel.send(session.msg("comm_open", {"comm_id": "c1", "target_name": "echo", "data": {}}))
    kernel_client.shell_channel.send(session.msg("comm_msg", {"comm_id": "c1", "data": {"n": 7}}))
    while True:
        message = await kernel_client.get_iopub_msg(timeout=30)
        if message["msg_type"] == "comm_msg":
            break
    assert message["content"]["data"] == {"echo": {"n": 7}}


async def test_nbclient_runs_a_notebook_on_the_session(session: LiveSession) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("y = 6"),
            nbformat.v4.new_code_cell("print(y * 7)"),
            nbformat.v4.new_code_cell("y"),
        ]
    )
    connection_file = (await session.client.hello())["connection_file"]
    await asyncio.to_thread(_execute_by_nbclient, notebook, connection_file)
    assert notebook.cells[1].outputs[0].text == "42\n"
    await session.client.notebook()
    ours = nbformat.read(session.folder.notebook, 4)
    assert [c.source for c in ours.cells if c.cell_type == "code"][-3:] == ["y = 6", "print(y * 7)", "y"]


def _execute_by_nbclient(notebook: Any, connection_file: str) -> None:
    runner = nbclient.NotebookClient(notebook)
    runner.kc = AsyncKernelClient()
    runner.kc.load_connection_file(connection_file)

    async def execute() -> None:
        runner.kc.start_channels()
        await runner.kc.wait_for_ready(timeout=60)
        for index, cell in enumerate(notebook.cells):
            await runner.async_execute_cell(cell, index)
        runner.kc.stop_channels()

    asyncio.run(execute())
    runner.kc.context.destroy(linger=0)


async def test_jupyter_console_attaches_to_the_session(session: LiveSession) -> None:
    connection_file = (await session.client.hello())["connection_file"]
    console = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("jupyter-console")),
        "--existing",
        connection_file,
        "--simple-prompt",
        "--ZMQTerminalInteractiveShell.kernel_timeout=60",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(console.communicate(b"v = 20 + 1\nprint(v * 2)\nexit(keep_kernel=True)\n"), 120)
    assert b"42" in said
    await session.client.notebook()
    sources = [c.source for c in nbformat.read(session.folder.notebook, 4).cells if c.cell_type == "code"]
    assert "print(v * 2)" in [s.strip() for s in sources]
    assert (await session.python("print(v)")).stdout == "21\n"


async def test_a_message_with_a_wrong_key_is_ignored(session: LiveSession, kernel_client: AsyncKernelClient) -> None:
    key = kernel_client.session.key
    kernel_client.session.key = b"wrong"
    kernel_client.execute("stolen = 1")
    kernel_client.session.key = key
    _, seen = await outputs_of(kernel_client, "print('stolen' in globals())")
    assert [m["content"]["text"] for m in seen if m["msg_type"] == "stream"] == ["False\n"]
