"""What code in a real session can do on the network, and what not (attempts 48 to 52)."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernel_gateway.config import load_settings
from kernel_gateway.egress.audit import read
from kernel_gateway.image.store import Image
from kernel_gateway.session.create import session_values
from kernel_gateway.session.pool import Pool
from kernel_gateway.supervisor.client import connect
from tests.conftest import LiveSession, NewSession, stop_session
from tests.egress.registry import TOKEN, Registry, serving


def audit(session: LiveSession) -> list[dict[str, Any]]:
    return list(read(session.folder.internals / "audit.jsonl"))


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The machine's settings name it, with credentials."""
    with serving(tmp_path) as found:
        place = found.url.removeprefix("http://")
        npmrc = tmp_path / "npmrc"
        npmrc.write_text(f"//{place}/npm/:_authToken={TOKEN}\n")
        for name in [n for n in os.environ if n.upper().startswith(("PIP_", "NPM_CONFIG_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", f"http://user:{TOKEN}@{place}/simple")
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{found.url}/npm/")
        monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(npmrc))
        yield found


async def test_pip_installs_through_the_mirror_from_where_the_machines_pip_would(
    registry: Registry, new_session: NewSession
) -> None:
    session = await new_session()
    done = await session.bash("pip install tiny-thing", cell="install")
    assert done.exit == "ok", done.stdout + done.stderr
    assert (await session.python("import tiny_thing; print(tiny_thing.VALUE)")).stdout == "42\n"
    assert {authorization is not None for _, _, authorization in registry.requests} == {True}
    lines = audit(session)
    assert {line["cell"] for line in lines} == {"install"} and {line["host"] for line in lines} == {"127.0.0.1"}
    assert [line["path"].rpartition("/")[2] for line in lines] == ["", "tiny_thing-1.0-py3-none-any.whl"]
    await session.client.notebook()
    metadata = json.loads(session.folder.notebook.read_text())["metadata"]["kernel_gateway"]
    (host,) = metadata["egress"]["hosts"]
    assert (host["host"], host["mode"], host["requests"]) == ("127.0.0.1", "registry", 2) and host["bytes_down"] > 500
    assert metadata["isolation"]["network"] == "enforced"


async def test_npm_installs_through_the_mirror_and_its_lock_file_names_no_address_of_ours(
    registry: Registry, new_session: NewSession
) -> None:
    session = await new_session()
    done = await session.bash("npm install tiny-thing", cell="install")
    assert done.exit == "ok", done.stdout + done.stderr
    assert (await session.node("console.log(require('tiny-thing'))")).stdout == "42\n"
    lock = (session.folder.workspace / "package-lock.json").read_text()
    assert "127.0.0.1" not in lock and "sha512-" in lock
    assert {authorization for _, _, authorization in registry.requests} == {f"Bearer {TOKEN}"}
    assert {line["cell"] for line in audit(session)} == {"install"}


ATTEMPTS = """
import subprocess
base = "http://127.0.0.1:3128"
for arguments in (
    ["-X", "POST", "-d", "secret", base + "/pypi/legacy/"],
    ["-X", "PUT", "-d", "secret", base + "/npm/tiny-thing"],
    [base + "/pypi/simple/tiny-thing/?" + "s" * 100_000],
):
    done = subprocess.run(["curl", "-sS", "-w", "%{http_code}", *arguments], capture_output=True, text=True)
    print(done.stdout[-3:])
"""


async def test_no_upload_to_a_registry_is_possible_and_each_attempt_names_its_cell(
    registry: Registry, new_session: NewSession
) -> None:
    session = await new_session()
    done = await session.python(ATTEMPTS, cell="upload")
    assert done.stdout == "403\n403\n403\n", done.stderr
    assert registry.requests == []
    lines = audit(session)
    assert [(line["verdict"], line["status"], line["cell"]) for line in lines] == [("deny", 403, "upload")] * 3


async def test_no_credential_of_a_registry_is_seen_inside(registry: Registry, new_session: NewSession) -> None:
    session = await new_session()
    commands = "pip config list; npm config list; curl -s -i -v http://127.0.0.1:3128/pypi/simple/tiny-thing/; cat /proc/*/environ"
    code = f"import os, subprocess\nprint(dict(os.environ), subprocess.getoutput({commands!r}))"
    done = await session.python(code)
    assert done.exit == "ok" and "tiny_thing" in done.stdout and TOKEN not in json.dumps(done.outputs)


CLIENTS = """
import subprocess, urllib.request, urllib.error
for url in ("https://other.example.com/", "http://other.example.com/"):
    try:
        urllib.request.urlopen(url)
    except urllib.error.HTTPError as error:
        print("urllib", error.code, "sessions allow" in error.read().decode())
    except urllib.error.URLError as error:
        print("urllib", "403 Denied: registries" in str(error))
    print("curl", subprocess.run(["curl", "-sS", url], capture_output=True, text=True).stderr.strip().removeprefix("curl: (56) "))
"""


async def test_each_client_meets_a_refusal_rather_than_silence(session: LiveSession) -> None:
    done = await session.python(CLIENTS)
    assert done.stdout.splitlines() == [
        "urllib True",
        "curl CONNECT tunnel failed, response 403",
        "urllib 403 True",
        "curl ",
    ]
    code = """
const r = await fetch('http://other.example.com/')
console.log(r.status, (await r.text()).includes('rule:'))
await fetch('https://other.example.com/').catch(e => console.log(require('util').inspect(e).includes('403')))"""
    fetched = await session.node(code)
    assert fetched.stdout == "403 true\ntrue\n", fetched.stderr


async def test_the_machines_own_loopback_and_names_are_out_of_reach(session: LiveSession) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        code = f"""
import socket
try:
    socket.create_connection(("127.0.0.1", {port}), 5)
except OSError as error:
    print(type(error).__name__)
try:
    socket.getaddrinfo("other.example.com", 80)
except OSError as error:
    print(type(error).__name__)
print([name for _, name in socket.if_nameindex()])
import subprocess
print(subprocess.getoutput("curl -s -o /dev/null -w %{{http_code}} --noproxy '' http://127.0.0.1:{port}/"))
print(subprocess.getoutput("curl -s -p -w %{{http_connect}} --noproxy '' http://127.0.0.1:{port}/"))
"""
        done = await session.python(code)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert done.stdout == "ConnectionRefusedError\ngaierror\n['lo']\n403\n403\n"


SOCKET = """
import errno, os, socket
for act in (lambda: os.unlink("/run/egress/socket"), lambda: os.rename("/run/egress/socket", "/run/egress/x"),
            lambda: open("/run/egress/relay.py", "a"), lambda: os.chmod("/run/egress/socket", 0o777),
            lambda: socket.socket(socket.AF_UNIX).bind("/run/egress/other")):
    try:
        act()
        print("done")
    except OSError as error:
        print("failed" if error.errno in (errno.EROFS, errno.EACCES) else error)
print(sorted(os.listdir("/run/egress")))
"""


async def test_the_way_out_cannot_be_replaced_and_leads_to_ones_own_audit_only(new_session: NewSession) -> None:
    first, second = await new_session(), await new_session()
    done = await first.python(SOCKET)
    assert done.stdout == "failed\nfailed\nfailed\nfailed\nfailed\n['relay.py', 'socket']\n"
    runtime = Path((await first.client.hello())["connection_file"]).parent
    path = runtime.parent / f"e{runtime.name}" / "socket"
    assert path.is_socket()
    tried = await second.python(f"import socket\nsocket.socket(socket.AF_UNIX).connect({str(path)!r})")
    assert tried.ename == "FileNotFoundError"
    await second.bash("curl -s http://other.example.com/ > /dev/null")
    assert audit(first) == [] and len(audit(second)) == 1


async def test_without_a_relay_there_is_no_network_and_the_kernel_goes_on(session: LiveSession) -> None:
    await session.bash("kill -9 $(pgrep -f relay.py)")
    done = await session.bash("curl -sS http://other.example.com/ || true; echo on")
    assert "on\n" in done.stdout and "connect" in done.stderr


async def test_a_session_without_a_network_has_none(new_session: NewSession) -> None:
    session = await new_session(settings={"limits.egress": "none"})
    done = await session.bash("curl -s http://127.0.0.1:3128/pypi/simple/six/; curl -s http://other.example.com/")
    assert done.stdout.count("no network at all") == 2


async def test_a_cut_ends_a_download_in_a_session_within_a_second(registry: Registry, new_session: NewSession) -> None:
    registry.files["/simple/endless/"] = b'<a href="../../files/endless-1.0.tar.gz">endless-1.0.tar.gz</a>'
    session = await new_session()
    running = asyncio.create_task(session.bash("pip install --retries 0 endless", cell="download"))
    while not any(path.startswith("/files/endless") for _, path, _ in registry.requests):
        await asyncio.sleep(0.02)
    began = time.monotonic()
    await session.client.cut(by="ada")
    took = time.monotonic() - began
    done = await running
    assert took < 1 and done.exit != "ok"
    assert "cut off" in (await session.bash("curl -s http://other.example.com/")).stdout
    cut = [line for line in audit(session) if line.get("verdict") == "cut"]
    assert [(line["cell"], line["path"]) for line in cut] == [("download", "/files/endless-1.0.tar.gz")]
    assert (await session.python("print('alive')")).stdout == "alive\n"


async def test_a_question_reaches_the_front_end_and_its_answer_the_code(new_session: NewSession) -> None:
    session = await new_session(settings={"limits.egress": "ask"})
    questions: list[dict[str, Any]] = []

    async def person() -> None:
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        listening = asyncio.create_task(session.client.questions(queue.put_nowait))
        try:
            while True:
                event = await queue.get()
                if event["event"] == "question":
                    questions.append(event)
                    assert await session.client.answer(event["question"], allow=False, by="ada")
        finally:
            listening.cancel()

    answering = asyncio.create_task(person())
    done = await session.bash("curl -s http://other.example.com/; curl -s http://other.example.com/", cell="asking")
    answering.cancel()
    assert done.stdout.count("a person did not allow other.example.com") == 2
    (question,) = questions
    assert (question["host"], question["as"], question["cell"]) == ("other.example.com", "gateway", "asking")


async def test_what_runs_in_the_background_is_audited_after_its_cell(session: LiveSession) -> None:
    await session.bash(
        "(while [ ! -e go ]; do sleep 0.05; done; curl -s http://other.example.com/; touch done) > /dev/null &",
        run="starter",
    )
    (session.folder.workspace / "go").touch()
    while not (session.folder.workspace / "done").exists():
        await asyncio.sleep(0.05)
    (line,) = audit(session)
    assert line["after"] == "starter" and "run" not in line


async def test_a_ready_sandbox_takes_the_rules_of_the_session_that_claims_it(data: Path, image: Image) -> None:
    data.mkdir(mode=0o711)
    pool, settings = Pool(data), load_settings()
    values = session_values(settings, image=image, engine="bubblewrap", owner="test")
    await pool.fill(values, 1)
    wanted = session_values(load_settings({"limits.egress": "none"}), image=image, engine="bubblewrap", owner="test")
    while (folder := await pool.claim(wanted)) is None:
        await asyncio.sleep(0.05)
    try:
        async with connect(folder) as client:
            session = LiveSession(folder, client)
            done = await session.bash("curl -s http://127.0.0.1:3128/pypi/simple/six/")
        assert "no network at all" in done.stdout
    finally:
        await stop_session(folder)


async def test_after_the_stop_no_socket_and_no_proxy_is_left(session: LiveSession) -> None:
    await session.bash("curl -s http://other.example.com/")
    runtime = Path((await session.client.hello())["connection_file"]).parent
    folder = runtime.parent / f"e{runtime.name}"
    assert folder.exists()
    await session.client.stop()
    assert not folder.exists()


# By this machine's own registries


async def by_the_machines_own(session: LiveSession, command: str) -> None:
    done = await session.bash(command)
    if done.exit != "ok":
        failed = [line for line in audit(session) if line["status"] != 200]
        if any(line["status"] == 502 for line in failed) or "502" in done.stdout + done.stderr:
            pytest.skip(f"this machine's own registry cannot be reached: {[line['rule'] for line in failed][:3]}")
    assert done.exit == "ok", done.stdout + done.stderr + json.dumps(audit(session))


async def test_a_package_is_installed_by_pip_from_this_machines_own_index(session: LiveSession) -> None:
    await by_the_machines_own(session, "pip install --no-deps iniconfig")
    assert (await session.python("import iniconfig; print(iniconfig.IniConfig.__name__)")).stdout == "IniConfig\n"
    denied = await session.bash("curl -s -o /dev/null -w '%{http_code}' http://other.example.com/")
    assert denied.stdout == "403"


async def test_a_package_is_installed_by_npm_from_this_machines_own_registry(session: LiveSession) -> None:
    await by_the_machines_own(session, "npm install is-number")
    assert (await session.node("console.log(require('is-number')(5))")).stdout == "true\n"
