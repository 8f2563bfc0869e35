from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import nbformat
import pytest

from tests.server.rest.conftest import TOKEN, Server


def events(answer: httpx.Response) -> list[tuple[str, Any]]:
    blocks = [block.splitlines() for block in answer.text.split("\n\n") if block.startswith("event: ")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


@pytest.fixture(scope="module")
def session(server: Server) -> str:
    return server.new("amber")


def test_a_cell_answers_with_its_outputs_and_the_files_it_made(server: Server, session: str) -> None:
    done = server.run(session, "open('made.txt', 'w').write('x'); print('hello')")
    assert (done["exit"], done["outputs"]) == ("ok", [{"output_type": "stream", "name": "stdout", "text": "hello\n"}])
    assert [f["path"] for f in done["files"]] == ["made.txt"]
    assert done["content"][0]["text"].startswith("hello")


def test_a_repeated_id_runs_once(server: Server, session: str) -> None:
    source = "n = globals().get('n', 0) + 1; print(n)"
    first, again = (server.run(session, source, id="only-once") for _ in range(2))
    assert first["outputs"] == again["outputs"]
    assert server.run(session, "print(n)")["outputs"][0]["text"] == "1\n"


def test_outputs_come_as_events_while_the_cell_runs(server: Server, session: str) -> None:
    body = {"tool": "bash", "input": {"command": "echo one; echo two"}}
    found = events(server.http.post(f"{session}/cells", json=body, headers={"Accept": "text/event-stream"}))
    assert found[0][0] == "start"
    assert "".join(o["text"] for name, data in found if name == "output" for o in data) == "one\ntwo\n"
    assert (found[-1][0], found[-1][1]["exit"]) == ("end", "ok")


def test_a_turn_is_told_in_words_cells_and_outputs(server: Server, session: str) -> None:
    found = events(server.http.post(f"{session}/turns", json={"prompt": "How many?"}))
    names = [name for name, _ in found]
    assert names.index("words") < names.index("cell") < names.index("output") < names.index("cell_end")
    assert (found[-1][0], found[-1][1]["stop_reason"], found[-1][1]["text"]) == ("end", "end_turn", "42.")


def test_a_stopped_session_comes_back_with_its_variables(server: Server) -> None:
    session = server.new("birch")
    server.run(session, "kept = 41")
    assert server.http.post(f"{session}/stop").json()["was_running"] is True
    assert server.http.get(f"{session}/resume").json()["cells"] == 1
    assert server.http.post(f"{session}/resume", json={"replay": "yes"}).json()["replay"]["names_back"] == ["kept"]
    assert server.run(session, "print(kept + 1)")["outputs"][0]["text"] == "42\n"


def test_a_fork_stands_where_the_other_session_stood(server: Server) -> None:
    session = server.new("cedar")
    first = server.run(session, "v = 1")
    server.run(session, "v = 2")
    made = server.http.post(f"{session}/fork", json={"at": first["cell"], "name": "cedar-two"})
    assert made.status_code == 201, made.text
    assert server.run("/api/gateway/sessions/cedar-two", "print(v)")["outputs"][0]["text"] == "1\n"


def test_a_deleted_session_is_gone(server: Server) -> None:
    session = server.new("delta")
    assert server.http.delete(session).status_code == 204
    assert server.http.get(session).status_code == 404


def test_the_notebook_is_valid_and_the_page_runs_no_script(server: Server, session: str) -> None:
    nbformat.validate(nbformat.reads(server.http.get(f"{session}/notebook").text, as_version=4))
    page = server.http.get(f"{session}/export", params={"to": "html", "inline": "1"})
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox ")
    assert "allow-scripts" not in policy


def test_a_file_is_put_got_in_part_and_removed(server: Server, session: str) -> None:
    url = f"{session}/files/sub/a%20b.txt"
    put = server.http.put(url, content=b"0123456789")
    assert (put.status_code, put.json()["path"]) == (201, "sub/a b.txt")
    got = server.http.get(url, headers={"Range": "bytes=2-4"})
    assert (got.status_code, got.content, got.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    assert got.headers["Etag"] == f'"{put.json()["sha256"]}"'
    assert server.http.get(url, headers={"If-None-Match": got.headers["Etag"]}).status_code == 304
    assert server.http.get(url, headers={"Range": "bytes=50-"}).status_code == 416
    assert "sub/a b.txt" in [f["path"] for f in server.http.get(f"{session}/files").json()["files"]]
    assert server.run(session, "print(open('sub/a b.txt').read())")["outputs"][0]["text"] == "0123456789\n"
    assert server.http.delete(url).status_code == 204
    assert server.http.get(url).status_code == 404


def test_a_file_over_the_limit_is_refused_before_its_body_is_sent(server: Server, session: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = f"PUT {session}/files/giant HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: token {TOKEN}\r\n"
        connection.sendall(f"{head}Content-Length: 3221225472\r\nExpect: 100-continue\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 (Continue)" not in answer
    assert b"FileTooLarge" in answer


@pytest.mark.parametrize("path", ["..%2f..%2fetc/passwd", "%2fetc/passwd", "link/x", "link"])
def test_no_path_leaves_the_workspace(server: Server, session: str, path: str) -> None:
    server.run(session, "import os; os.path.lexists('link') or os.symlink('/etc', 'link')")
    got = server.http.get(f"{session}/files/{path}")
    assert got.status_code in (403, 404)
    assert "root:" not in got.text
    assert path == "link" or server.http.put(f"{session}/files/{path}", content=b"x").status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/gateway/sessions/nowhere", "", 404),
        ("GET", "/api/gateway/nothing", "", 404),
        ("PATCH", "/api/gateway/sessions", "", 405),
        ("POST", "/api/gateway/sessions", "{", 400),
        ("POST", "/api/gateway/sessions", '{"engine": "none"}', 400),
        ("POST", "/api/gateway/sessions", '{"limits": {"wings": 2}}', 400),
        ("POST", "/api/gateway/sessions/amber/cells", '{"tool": "cobol", "input": "x"}', 400),
        ("POST", "/api/gateway/sessions/amber/cells", '{"tool": "python", "input": {"wrong": 1}}', 400),
        ("POST", "/api/gateway/sessions/amber/turns", '{"prompt": 7}', 400),
        ("GET", "/api/gateway/sessions/amber/turns/current", "", 404),
        ("GET", "/api/gateway/sessions/amber/export?to=papyrus", "", 400),
    ],
)
def test_what_cannot_be_is_told_with_a_next_step(
    server: Server, session: str, method: str, path: str, body: str, status: int
) -> None:
    answer = server.http.request(method, path, content=body)
    assert answer.status_code == status
    assert answer.json()["error"].keys() == {"type", "message", "next"}
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/api/gateway/sessions", "/api/gateway/events", "/metrics", "/cell-gateway/cards"])
def test_nothing_is_told_without_the_token(server: Server, path: str) -> None:
    assert httpx.get(server.url + path, trust_env=False, follow_redirects=False).status_code in (302, 403)


def test_health_needs_no_token_and_metrics_count_sessions(server: Server, session: str) -> None:
    for path in ("/healthz", "/readyz"):
        assert httpx.get(server.url + path, trust_env=False).status_code == 200
    lines = server.http.get("/metrics").text.splitlines()
    assert any(line.startswith('cell_gateway_sessions{state="idle"} ') for line in lines)


def test_a_cut_is_kept_and_undone_also_while_the_session_is_stopped(server: Server) -> None:
    session = server.new("elm")
    server.http.post(f"{session}/stop")
    for undo in (False, True):
        assert server.http.post(f"{session}/cut", json={"undo": undo}).json() == {"id": "elm", "cut": not undo}
        assert server.http.get(session).json()["cut"] is not undo
    assert [r["event"] for r in server.http.get(f"{session}/audit").json()["requests"]] == ["cut", "open again"]
