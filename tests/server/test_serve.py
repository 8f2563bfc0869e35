"""The server that `cell-gateway serve` starts: no kernel but a session, nothing of a session's internals, and no way to lose one."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import Any

import nbformat
import pytest
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1, serialize_msg_to_ws_v1

from kernel_gateway.errors import BadRequest
from kernel_gateway.server.app import check_binding
from kernel_gateway.session.folder import SessionFolder, SessionStore
from kernel_gateway.session.lifetime import standing_of
from tests.conftest import stop_session
from tests.server.conftest import V1, Serving, close, environment, execute_request

NETWORK = "import os\nprint(sorted(os.listdir('/sys/class/net')) if os.path.exists('/sys/class/net') else ['lo'])"


def session_of(serving: Serving, kernel: str) -> SessionFolder:
    rows = serving.ask("GET", "/api/sessions").json()
    path = next(row["path"] for row in rows if row["kernel"]["id"] == kernel)
    return SessionFolder(serving.data / "sessions" / path.split("/")[0])


def sources(folder: SessionFolder) -> list[str]:
    return [
        record["source"]
        for record in map(json.loads, folder.journal.read_text().splitlines())
        if record["kind"] == "start"
    ]


async def test_a_kernel_posted_without_a_body_is_a_recorded_session_without_network(serving: Serving) -> None:
    kernel = serving.new_kernel()
    assert await serving.run(kernel, NETWORK) in ("['lo']\n", "[]\n")
    folder = session_of(serving, kernel)
    assert NETWORK in sources(folder)
    assert folder.id in [found.id for found in SessionStore(serving.data)]


async def test_env_of_a_request_and_of_the_server_stay_outside(serving: Serving) -> None:
    kernel = serving.new_kernel(name="cell-gateway", env={"KERNEL_USERNAME": "intruder", "FROM_REQUEST": "1"})
    said = await serving.run(kernel, "import os\nprint(*os.environ)")
    assert "FROM_REQUEST" not in said and "KERNEL_USERNAME" not in said and "CELL_GATEWAY_DATA" not in said


def test_no_other_kernel_can_be_asked_for(serving: Serving) -> None:
    specs = serving.ask("GET", "/api/kernelspecs").json()["kernelspecs"]
    assert sorted(specs) == ["bash", "cell-gateway", "javascript", "python", "python3"]
    assert serving.ask("POST", "/api/kernels", json={"name": "ir"}).status_code >= 400


@pytest.mark.parametrize("protocol", ["", V1])
async def test_code_of_a_bash_kernel_is_a_bash_cell(serving: Serving, protocol: str) -> None:
    kernel = serving.new_kernel(name="bash")
    socket = await serving.connect(kernel, protocol=protocol)
    request = execute_request('x=41; echo "$((x + 1))"')
    if protocol:
        parts = [json.dumps(request[k]).encode() for k in ("header", "parent_header", "metadata", "content")]
        await socket.write_message(serialize_msg_to_ws_v1(parts, "shell"), binary=True)
    else:
        await socket.write_message(json.dumps(request))
    said = ""
    while "42" not in said:
        raw: Any = await asyncio.wait_for(socket.read_message(), 60)
        said += repr(deserialize_msg_from_ws_v1(raw)) if protocol else raw
    await close(socket)
    assert '%%bash\nx=41; echo "$((x + 1))"' in sources(session_of(serving, kernel))


@pytest.mark.parametrize(
    "oddity",
    [{"header": {"date": ""}}, {"channel": None}, {"buffers": {}}, {"header": {"version": "5.0"}}],
    ids=["empty date", "no channel", "dict buffers", "protocol 5.0"],
)
async def test_an_odd_message_runs_all_the_same(serving: Serving, oddity: dict[str, Any]) -> None:
    kernel = serving.ask("GET", "/api/kernels").json()
    identity = kernel[0]["id"] if kernel and kernel[0]["name"] != "bash" else serving.new_kernel()
    assert await serving.run(identity, "print(6 * 7)", **oddity) == "42\n"


async def test_after_kill_9_the_kernel_has_its_id_its_path_and_its_variables(serving: Serving) -> None:
    made = serving.ask("POST", "/api/sessions", json={"path": "a.ipynb", "type": "notebook", "name": "a"}).json()
    kernel = made["kernel"]["id"]
    await serving.run(kernel, "kept = 'alive'")
    folder = session_of(serving, kernel)
    serving.kill()
    serving.start()
    again = serving.ask("GET", f"/api/sessions/{made['id']}").json()
    assert (again["kernel"]["id"], again["path"]) == (kernel, made["path"])
    assert await serving.run(kernel, "print(kept)") == "alive\n"
    assert session_of(serving, kernel) == folder


async def test_a_graceful_end_stops_no_session_and_no_running_cell(serving: Serving) -> None:
    kernel = serving.new_kernel()
    socket = await serving.connect(kernel)
    await socket.write_message(json.dumps(execute_request("import time\nfor i in range(8): time.sleep(0.5)\ndone = i")))
    folder = session_of(serving, kernel)
    while not any("done = i" in source for source in sources(folder)):
        await asyncio.sleep(0.05)
    started = time.monotonic()
    assert await asyncio.to_thread(serving.end) == 0
    await close(socket)
    assert time.monotonic() - started < 30
    serving.start()
    assert await serving.run(kernel, "print(done)") == "7\n"


async def test_a_restart_gives_a_fresh_kernel_under_the_same_id(serving: Serving) -> None:
    kernel = serving.new_kernel()
    await serving.run(kernel, "gone = 1")
    assert serving.ask("POST", f"/api/kernels/{kernel}/restart").status_code == 200
    assert "NameError" in await serving.run(kernel, "print(gone)")


async def test_an_interrupt_stops_the_running_cell(serving: Serving) -> None:
    kernel = serving.new_kernel()
    running = asyncio.create_task(serving.run(kernel, "import time\nprint('now', flush=True)\ntime.sleep(60)"))
    folder = session_of(serving, kernel)
    while not any("time.sleep(60)" in source for source in sources(folder)):
        await asyncio.sleep(0.05)
    answer = await asyncio.to_thread(serving.ask, "POST", f"/api/kernels/{kernel}/interrupt")
    assert answer.status_code == 204
    assert "KeyboardInterrupt" in await running


async def test_a_deleted_kernel_is_a_stopped_session_whose_notebook_opens_again_with_its_variables(
    serving: Serving,
) -> None:
    kernel = serving.new_kernel()
    await serving.run(kernel, "kept = 'before'\nprint(kept)")
    folder = session_of(serving, kernel)
    assert serving.ask("DELETE", f"/api/kernels/{kernel}").status_code == 204
    written = nbformat.read(folder.notebook, 4)
    assert any("before" in cell.source for cell in written.cells)
    body = {"path": f"{folder.id}/notebook.ipynb", "type": "notebook", "name": "notebook.ipynb"}
    opening = [asyncio.to_thread(serving.ask, "POST", "/api/sessions", json=body) for _ in range(2)]
    made = [answer.json() for answer in await asyncio.gather(*opening)]
    assert [m["kernel"]["id"] for m in made] == [kernel, kernel]
    assert await serving.run(kernel, "print(kept)") == "before\n"
    assert [c.source for c in nbformat.read(folder.notebook, 4).cells[: len(written.cells)]] == [
        c.source for c in written.cells
    ]


async def test_looking_at_a_stopped_session_does_not_start_it(serving: Serving) -> None:
    kernel = serving.new_kernel()
    await serving.run(kernel, "1")
    folder = session_of(serving, kernel)
    await stop_session(folder)
    looks = ["kernels", f"kernels/{kernel}", "sessions", f"contents/{folder.id}/notebook.ipynb", "gateway/sessions"]
    for path in looks:
        serving.ask("GET", f"/api/{path}")
    assert (await standing_of(folder)).state == "stopped"
    assert serving.ask("GET", f"/api/kernels/{kernel}").status_code == 404


def test_a_session_of_the_command_line_is_a_kernel_bound_to_its_notebook(serving: Serving) -> None:
    command = [sys.executable, "-m", "kernel_gateway", "run", "-", "--name", "by-hand"]
    subprocess.run(command, input=b"x = 1", env=environment(serving.place), check=True, capture_output=True)
    rows = serving.ask("GET", "/api/sessions").json()
    assert "by-hand/notebook.ipynb" in [row["path"] for row in rows]


def test_internals_and_links_are_neither_shown_nor_served(serving: Serving) -> None:
    session = SessionFolder(
        serving.data / "sessions" / serving.ask("GET", "/api/sessions").json()[0]["path"].split("/")[0]
    )
    (session.workspace / "out").symlink_to("/etc/passwd")
    (session.workspace / "up").symlink_to(session.internals)
    (session.workspace / "nb.ipynb").symlink_to(session.notebook)
    (session.workspace / "page.html").write_text("<script>1</script>")
    hidden = [".session/session.json", "workspace/out", "workspace/up/session.json", "workspace/nb.ipynb"]
    for name in hidden:
        for route in ("/api/contents/", "/files/", "/nbconvert/html/"):
            answer = serving.ask("GET", f"{route}{session.id}/{name}")
            assert answer.status_code >= 400 and b"root:" not in answer.content, route + name
    listed = serving.ask("GET", f"/api/contents/{session.id}").json()["content"]
    assert ".session" not in [entry["name"] for entry in listed]
    listed = serving.ask("GET", f"/api/contents/{session.id}/workspace").json()["content"]
    assert not {"out", "up", "nb.ipynb"} & {entry["name"] for entry in listed}
    page = serving.ask("GET", f"/files/{session.id}/workspace/page.html")
    assert page.status_code == 200 and "sandbox" in page.headers["content-security-policy"]
    assert serving.ask("DELETE", f"/api/contents/{session.id}").status_code == 403


def test_terminals_are_off_and_nobody_is_let_in_without_the_token(serving: Serving) -> None:
    assert serving.ask("POST", "/api/terminals").status_code == 404
    for path in ("/api/kernels", "/api/contents", "/api/gateway/sessions"):
        assert serving.ask("GET", path, headers={}).status_code == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5"])
def test_a_public_address_needs_a_token_and_tls_or_a_proxy(host: str) -> None:
    with pytest.raises(BadRequest, match="unencrypted"):
        check_binding(host, token=None, has_tls=False, behind_proxy=False)
    with pytest.raises(BadRequest, match="Without a token"):
        check_binding(host, token="", has_tls=True, behind_proxy=True)
    check_binding(host, token=None, has_tls=False, behind_proxy=True)
