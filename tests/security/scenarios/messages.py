"""A kernel that lies to the recorder. What it says of its own run is its own affair; everything else stays right."""

# Cells are one string each.
# ruff: noqa: E501

from __future__ import annotations

import json

import nbformat

from tests.conftest import LiveSession

from ..arena import Arena

__all__ = [
    "comm_flood",
    "deep_json",
    "foreign_parents",
    "forged_idle",
    "forged_questions",
    "forged_replies",
    "odd_values",
    "wrong_signatures",
]


async def goes_on(session: LiveSession) -> None:
    """The next cell is recorded right and the notebook is valid."""
    result = await session.python("print('on')")
    assert (result.exit, result.stdout) == ("ok", "on\n")
    await session.client.notebook()
    nbformat.validate(nbformat.reads(session.folder.notebook.read_text(), as_version=4))


async def forged_idle(arena: Arena) -> None:
    async with arena.shared() as session:
        result = await session.python("forge('status', {'execution_state': 'idle'}); time.sleep(1); print('the end')")
        assert (result.exit, result.stdout) == ("ok", "the end\n")


async def foreign_parents(arena: Arena) -> None:
    async with arena.shared() as session:
        before = await session.python("print('before')", run="victim", cell="victim")
        code = (
            "for parent in ({'msg_id': 'somebody', 'session': 'x'}, {}, {'msg_id': 5}, {'msg_id': ['x']}, {'msg_id': None}):\n"
            "    forge('stream', {'name': 'stdout', 'text': 'forged'}, parent)\n"
            "    forge('execute_result', {'data': {'text/plain': 'forged'}, 'metadata': {}, 'execution_count': 1}, parent)\nprint('mine')"
        )
        assert (await session.python(code)).stdout == "mine\n"
        assert before.stdout == "before\n"
        assert (await session.client.stats())["dropped"] >= 5
        await session.client.notebook()
        assert "forged'" not in session.folder.notebook.read_text().replace("'forged'", "")


async def wrong_signatures(arena: Arena) -> None:
    async with arena.shared() as session:
        before = (await session.client.stats())["rejected"]
        code = (
            "from ipykernel.kernelapp import IPKernelApp\nk = IPKernelApp.instance().kernel\n"
            "m = k.session.msg('stream', {'name': 'stdout', 'text': 'forged'}, parent=k.get_parent())\n"
            "parts = k.session.serialize(m)\nparts[1] = b'0' * 64\n"
            "for frames in (parts, [b'x'], [b'<IDS|MSG>'], [b'<IDS|MSG>', b'', b'{}'], parts[:4], [b''] * 300):\n"
            "    k.iopub_socket.send_multipart(frames)\nprint('mine')"
        )
        assert (await session.python(code)).stdout == "mine\n"
        assert (await session.client.stats())["rejected"] >= before + 5


async def forged_replies(arena: Arena) -> None:
    """The first reply counts, and its values are checked; what the cell prints after it is still its own."""
    async with arena.own() as session:
        for count in ("-1", "10**30", "'x'", "None", "1.5"):
            code = (
                "from ipykernel.kernelapp import IPKernelApp\nk = IPKernelApp.instance().kernel\n"
                f"content = {{'status': 'ok', 'execution_count': {count}, 'user_expressions': {{'_cell_gateway_names': 7}}}}\n"
                "k.session.send(k.shell_stream, 'execute_reply', content, k.get_parent(), ident=k.get_parent_ident() if hasattr(k, 'get_parent_ident')"
                " else k._parent_ident['shell'])\ntime.sleep(0.2)\nprint('after')"
            )
            result = await session.python(code)
            assert result.stdout == "after\n", result
            assert result.execution_count is None or 0 <= result.execution_count < 2**31
        await goes_on(session)


ODD = """
for content in ({'execution_count': 10**30}, {'execution_count': 'x'}, {'data': 3}, {'data': None, 'metadata': [1]}, {}, {'data': {'a\\nb': 1}},
                {'data': {'image/png': 5}, 'metadata': {'image/png': 7}}, {'data': {'text/plain': [1, None]}}, {'name': {}, 'text': []},
                {'traceback': 'x', 'ename': None}, {'traceback': [1, [2]], 'evalue': {}}, {'data': {'$blob': 'x'}}, {'$blob': 'y', 'text': {'$blob': 'z'}}):
    for kind in ('execute_result', 'display_data', 'update_display_data', 'stream', 'error', 'clear_output', 'status', 'execute_input', 'nonsense'):
        forge(kind, content)
forge('update_display_data', {'transient': {'display_id': ['x']}})
forge('status', {'execution_state': 'busy'}, msg_id=5, msg_type='status')
forge('stream', {'name': 'stdout', 'text': 'x'}, msg_type=['stream'])
for values in (b'[]', b'"text"', b'5', b'null', b'true', b'', b'{'):
    forge('display_data', values)
print('alive')
"""


async def odd_values(arena: Arena) -> None:
    async with arena.own() as session:
        assert (await session.python(ODD)).stdout.endswith("alive\n")
        await goes_on(session)


DEEP = """
from ipykernel.kernelapp import IPKernelApp
k = IPKernelApp.instance().kernel
def raw(place, value):
    parts = k.session.serialize(k.session.msg('display_data', {}, parent=k.get_parent()))
    parts[place] = value
    parts[1] = k.session.sign(parts[2:])
    k.iopub_socket.send_multipart([b'x', *parts])
deep = b'[' * 10000 + b']' * 10000
for place in (2, 3, 4, 5):
    raw(place, b'{"data": ' + deep + b'}')
    raw(place, deep)
    raw(place, b'\\xff\\xfe{')
    raw(place, b'{"data": {"text/plain": "\\\\ud800"}, "metadata": {"\\\\udfff": NaN}}')
    raw(place, b'{"data": {"text/plain": ' + b'9' * 5000 + b'}}')
    raw(place, b'{"a": 1, "a": 2, "msg_id": "' + b'x' * 100000 + b'"}')
print('alive')
"""


async def deep_json(arena: Arena) -> None:
    async with arena.own() as session:
        assert (await session.python(DEEP)).stdout.endswith("alive\n")
        await goes_on(session)


async def forged_questions(arena: Arena) -> None:
    async with arena.shared() as session:
        code = (
            "from ipykernel.kernelapp import IPKernelApp\nk = IPKernelApp.instance().kernel\n"
            "ident = k.get_parent_ident() if hasattr(k, 'get_parent_ident') else k._parent_ident['shell']\n"
            "for _ in range(100):\n    k.session.send(k.stdin_socket, 'input_request', {'prompt': 'password: ', 'password': True}, k.get_parent(), ident=ident)\n"
            "print('mine')"
        )
        assert (await session.python(code)).stdout == "mine\n"
        result = await session.python("input('? ')", timeout=20)
        assert (result.exit, result.ename) == ("error", "StdinNotImplementedError")


async def comm_flood(arena: Arena) -> None:
    async with arena.shared() as session:
        size = session.folder.journal.stat().st_size
        code = "for i in range(5000): forge('comm_open', {'comm_id': str(i), 'target_name': 'x', 'data': {'x': 'y' * 1000}})\nprint('mine')"
        assert (await session.python(code, timeout=60)).stdout == "mine\n"
        assert session.folder.journal.stat().st_size - size < 100_000
        assert json.loads(json.dumps(await session.client.stats()))["dropped"] >= 0
