"""The model's key and the server's token lie in no process's environment or command line, while the server has both."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from kernel_gateway.image.store import Image
from kernel_gateway.server.handover import command_without_token
from tests.conftest import ROOT, alive
from tests.ordinary_user import run_tests
from tests.server.conftest import Serving, environment, free_port, stop_all, wait_for_port

KEY, TOKEN = "sk-canary-of-the-test", "token-canary-of-the-test"


def holders() -> list[str]:
    """Processes that live and show a canary; what this process is given never has one."""
    found = list[str]()
    for entry in (e for e in Path("/proc").iterdir() if e.name.isdecimal()):
        for name in ("environ", "cmdline"):
            try:
                shown = (entry / name).read_bytes()
            except OSError:
                continue
            if (KEY.encode() in shown or TOKEN.encode() in shown) and alive(int(entry.name)):
                found.append(f"{entry.name} {name}")
    return found


Start = Callable[..., tuple[subprocess.Popen[bytes], int]]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Start]:
    processes: list[subprocess.Popen[bytes]] = []

    def start(options: Sequence[str], **environ: str) -> tuple[subprocess.Popen[bytes], int]:
        port = free_port()
        command = [sys.executable, "-m", "kernel_gateway", "serve", "--port", str(port), *options]
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(
                command, env={**environment(tmp_path), **environ}, cwd=tmp_path, stdout=log, stderr=log
            )
        processes.append(process)
        wait_for_port(port, process)
        return process, port

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize("way", ["variable", "option"])
def test_key_and_token_are_not_shown_and_the_server_has_them(started: Start, way: str) -> None:
    options = [] if way == "variable" else ["--token", TOKEN]
    own = {"JUPYTER_TOKEN": TOKEN} if way == "variable" else {}
    process, port = started(options, ANTHROPIC_API_KEY=KEY, **own)
    assert holders() == []
    url = f"http://127.0.0.1:{port}/api/gateway/sessions"
    assert httpx.get(url, headers={"Authorization": f"token {TOKEN}"}, trust_env=False).status_code == 200
    assert httpx.get(url, headers={"Authorization": "token wrong"}, trust_env=False).status_code == 403
    assert b"kernel_gateway" in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    process.send_signal(signal.SIGINT if way == "option" else signal.SIGTERM)
    assert process.wait(30) == 0


def test_a_refusal_ends_with_its_own_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kernel_gateway", "serve", "--host", "0.0.0.0", "--token", TOKEN]
    env = {**environment(tmp_path), "ANTHROPIC_API_KEY": KEY}
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True)
    assert done.returncode == 2 and "unencrypted" in done.stderr and KEY not in done.stderr


def test_only_the_tokens_words_leave_the_command() -> None:
    command = ["python", "-X", "dev", "-m", "kernel_gateway", "serve", "--token", "a", "--port", "1", "--token=b"]
    assert command_without_token(command)[1:] == ["-X", "dev", "-m", "kernel_gateway", "serve", "--port", "1"]


@pytest.mark.skipif(not ROOT, reason="Sandboxes of the test image need it: the other tests ran as this user")
async def test_no_process_of_a_session_is_given_the_key(tmp_path: Path, image: Image) -> None:
    server = Serving(tmp_path, ANTHROPIC_API_KEY=KEY, ANTHROPIC_AUTH_TOKEN=KEY)
    server.start()
    try:
        kernel = server.new_kernel()
        said = await server.run(kernel, "import os\nprint('canary' in str(os.environ))")
        assert said == "False\n" and holders() == []
    finally:
        await stop_all(tmp_path / "data")
        assert server.end() == 0


@pytest.mark.skipif(not ROOT, reason="This is already an ordinary user")
def test_it_is_the_same_for_an_ordinary_user() -> None:
    done = run_tests(f"{__file__}::test_key_and_token_are_not_shown_and_the_server_has_them[variable]", 4242)
    assert done.returncode == 0 and "1 passed" in done.stdout
