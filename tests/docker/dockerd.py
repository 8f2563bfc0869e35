"""A Docker daemon of the tests' own, with gVisor as a second runtime; on a bare Debian machine its packages are installed first."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kernel_gateway.errors import EngineUnavailable
from kernel_gateway.sandbox.docker_daemon import ask
from tests import debian

PROGRAMS = {"dockerd": "docker.io", "runsc": "runsc", "mmdebstrap": "mmdebstrap"}
START_SECONDS = 90
STOP_SECONDS = 60


def require_programs() -> None:
    """Install what is missing, where that can be done; else skip and say why."""
    if os.geteuid() != 0:
        pytest.skip("only root can start a Docker daemon of its own; run the tests as root for the container engines")
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if missing and (problem := debian.install(*missing)):
        pytest.skip(f"the container engines cannot be tested here: {problem}")


@contextmanager
def running() -> Generator[Path]:
    """The socket of a daemon with all its files in one temporary folder; it is stopped, with what it started, at the end."""
    # Sockets below it must fit into 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="cgd", dir="/tmp"))
    arguments = ["--host-uds=all", "--network=none", "--platform=ptrace"]
    settings = {"runtimes": {"runsc": {"path": shutil.which("runsc"), "runtimeArgs": arguments}}}
    (folder / "daemon.json").write_text(json.dumps(settings))
    options = {
        "config-file": folder / "daemon.json",
        "data-root": folder / "data",
        "exec-root": folder / "exec",
        "pidfile": folder / "pid",
        "host": f"unix://{folder}/sock",
        "containerd-namespace": "cell-gateway-tests",
        "bridge": "none",
        "iptables": "false",
        "ip-forward": "false",
        "ip-masq": "false",
    }
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(
            ["dockerd", *(f"--{name}={value}" for name, value in options.items())],
            stdout=log,
            stderr=log,
            env=os.environ,
        )
    try:
        _wait_until_it_answers(daemon, folder)
        yield folder / "sock"
    finally:
        _stop(daemon)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_it_answers(daemon: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while daemon.poll() is None and time.monotonic() < deadline:
        try:
            if (folder / "sock").exists() and ask(folder / "sock", "/version")[0] == 200:
                return
        except EngineUnavailable:
            pass
        time.sleep(0.1)
    pytest.skip(f"dockerd does not run on this machine: {(folder / 'log').read_text()[-1500:]}")


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
