"""A kernel that lies: forged completion, parents, widths and depths. The record stays right, the session goes on."""

from __future__ import annotations

from tests.conftest import LiveSession

FORGE = """
import json, time, zmq
from ipykernel.kernelapp import IPKernelApp
kernel = IPKernelApp.instance().kernel
def forge(kind, content, parent=None):
    parent = kernel.get_parent() if parent is None else parent
    kernel.session.send(kernel.iopub_socket, kind, content, parent=parent)
"""


async def test_a_forged_idle_ends_nothing(session: LiveSession) -> None:
    await session.python(FORGE)
    result = await session.python("forge('status', {'execution_state': 'idle'}); time.sleep(1); print('the end')")
    assert (result.exit, result.stdout) == ("ok", "the end\n")


async def test_messages_with_a_foreign_or_no_parent_land_in_no_cell(session: LiveSession) -> None:
    await session.python(FORGE)
    code = """
forge('stream', {'name': 'stdout', 'text': 'forged'}, {'msg_id': 'somebody else', 'session': 'x'})
forge('stream', {'name': 'stdout', 'text': 'forged'}, {})
print('mine')
"""
    assert (await session.python(code)).stdout == "mine\n"
    assert (await session.client.stats())["dropped"] >= 1


async def test_odd_contents_do_no_harm(session: LiveSession) -> None:
    await session.python(FORGE)
    code = """
for content in ({'execution_count': 10**30}, {'execution_count': 'x'}, {'data': 3}, {'data': None, 'metadata': [1]}, {}):
    forge('execute_result', content); forge('display_data', content); forge('stream', content); forge('error', content)
forge('update_display_data', {'transient': {'display_id': ['x']}})
forge('clear_output', {'wait': 'x'})
print('alive')
"""
    assert (await session.python(code)).stdout.endswith("alive\n")
    assert (await session.python("print('on')")).stdout == "on\n"


async def test_json_that_is_10_000_deep_does_no_harm(session: LiveSession) -> None:
    await session.python(FORGE)
    code = """
deep = '[' * 10000 + ']' * 10000
kernel.session.send(kernel.iopub_socket, 'display_data', {'data': {'text/plain': 'before'}, 'metadata': {}}, parent=kernel.get_parent())
parts = kernel.session.serialize(kernel.session.msg('display_data', {}, parent=kernel.get_parent()))
parts[-1] = ('{"data": {"application/json": ' + deep + '}, "metadata": {}}').encode()
parts[1] = kernel.session.sign(parts[2:])
kernel.iopub_socket.send_multipart([b'x', *parts])
"""
    result = await session.python(code)
    assert result.exit in ("ok", "error")
    assert (await session.python("print('on')")).stdout == "on\n"


async def test_input_that_no_client_can_answer_is_an_error_and_not_a_hang(session: LiveSession) -> None:
    result = await session.python("input('? ')", timeout=20)
    assert (result.exit, result.ename) == ("error", "StdinNotImplementedError")


async def test_a_kernel_that_removes_its_sockets_keeps_running_cells(session: LiveSession) -> None:
    await session.python("import os, glob\nfor f in glob.glob('/run/kernel/*'): os.unlink(f)")
    assert (await session.python("print('on')")).stdout == "on\n"
