"""Engines by name, daemons where they listen, and what is said where there is none."""

from __future__ import annotations

import json
import platform
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.errors import BadRequest, EngineUnavailable
from kernel_gateway.sandbox import docker_daemon, docker_seccomp, engines, seccomp
from kernel_gateway.sandbox.docker_daemon import find_daemon, find_sockets


@contextmanager
def answering(path: Path, answers: dict[str, Any]) -> Iterator[None]:
    """Something that is no container engine but answers like one, to be asked what no real one here would say."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    target = connection.recv(65536).split()[1].decode()
                    body = json.dumps(answers.get(target, {})).encode()
                    status = b"200 OK" if target in answers else b"404 Not Found"
                    head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body))
                    connection.sendall(head + body)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def info(**changes: Any) -> dict[str, Any]:
    values = {"Architecture": "x86_64", "SecurityOptions": ["name=seccomp,profile=default"], "Runtimes": {"runc": {}}}
    return {"/version": {"ApiVersion": "1.43"}, "/info": {**values, **changes}}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "d.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    monkeypatch.setenv("CONTAINER_HOST", f"unix://{path}")
    return path


def test_the_environment_says_where_the_daemon_is() -> None:
    assert find_sockets("docker", {"DOCKER_HOST": "unix:///a/b.sock"}) == [Path("/a/b.sock")]
    assert find_sockets("podman", {"CONTAINER_HOST": "unix:///a/c.sock", "DOCKER_HOST": "unix:///x"}) == [
        Path("/a/c.sock")
    ]


def test_the_users_own_daemons_are_found(tmp_path: Path) -> None:
    (tmp_path / "podman").mkdir()
    with socket.socket(socket.AF_UNIX) as docker, socket.socket(socket.AF_UNIX) as podman:
        docker.bind(str(tmp_path / "docker.sock"))
        podman.bind(str(tmp_path / "podman" / "podman.sock"))
        assert tmp_path / "docker.sock" in find_sockets("docker", {"XDG_RUNTIME_DIR": str(tmp_path)})
        assert find_sockets("podman", {"XDG_RUNTIME_DIR": str(tmp_path)})[0] == tmp_path / "podman" / "podman.sock"


def test_a_daemon_of_another_machine_is_refused() -> None:
    with pytest.raises(EngineUnavailable, match="unset DOCKER_HOST"):
        find_sockets("docker", {"DOCKER_HOST": "tcp://198.51.100.1:2375"})


def test_a_missing_daemon_is_told_with_the_command_that_starts_one(place: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"(?s)No daemon answers at .*apt-get install -y docker\.io") as caught:
        engines.make_engine("docker")
    assert caught.value.exit_code == 2


def test_a_missing_runtime_is_told_with_the_lines_for_daemon_json(place: Path) -> None:
    with answering(place, info()), pytest.raises(EngineUnavailable, match=r'(?s)no runtime runsc.*"--host-uds=all"'):
        find_daemon("gvisor")


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [(None, "--host-uds=all and --network=none"), (["--network=none"], "without --host-uds=all.")],
)
def test_a_runtime_without_what_sandboxes_need_is_refused(
    place: Path, arguments: list[str] | None, missing: str
) -> None:
    runtimes = {"runsc": {"path": "runsc", "runtimeArgs": arguments}}
    with answering(place, info(Runtimes=runtimes)), pytest.raises(EngineUnavailable, match=missing):
        find_daemon("gvisor")


def test_a_daemon_without_system_call_filters_is_refused(place: Path) -> None:
    with answering(place, info(SecurityOptions=[])), pytest.raises(EngineUnavailable, match="has no seccomp"):
        find_daemon("docker")


def test_an_old_daemon_is_refused(place: Path) -> None:
    with answering(place, {"/version": {"ApiVersion": "1.30"}}), pytest.raises(EngineUnavailable, match="too old"):
        find_daemon("docker")


def test_limits_that_the_daemon_cannot_hold_are_known(place: Path) -> None:
    with answering(place, info(MemoryLimit=True, PidsLimit=False)):
        assert find_daemon("docker").limits == {"memory": True, "processes": False, "cpu": False}


def test_podman_is_asked_at_its_own_place(place: Path) -> None:
    with answering(place, info(Runtimes={"crun": {}})):
        found = find_daemon("podman")
    assert (found.engine, found.socket, found.runtime) == ("podman", place, None)


def test_without_a_root_file_system_the_command_that_makes_it_is_told(place: Path) -> None:
    with answering(place, info()), pytest.raises(EngineUnavailable, match="cell-gateway image build --engine docker"):
        docker_daemon.ready_daemon("docker")


def test_a_root_file_system_with_another_c_library_is_refused(place: Path) -> None:
    image = {"Config": {"Labels": {docker_daemon.LIBC_LABEL: "glibc 2.1"}}}
    answers = {**info(), f"/images/{docker_daemon.BASE_IMAGE}/json": image}
    with answering(place, answers), pytest.raises(EngineUnavailable, match=r"glibc 2\.1, this machine .*image build"):
        docker_daemon.ready_daemon("docker")


def test_an_unknown_engine_is_a_bad_request_that_names_the_others() -> None:
    with pytest.raises(BadRequest, match="auto, bubblewrap, docker, gvisor, podman"):
        engines.make_engine("chroot")
    with pytest.raises(BadRequest, match="docker, gvisor, podman"):
        engines.container_engine("bubblewrap")


def test_auto_is_bubblewrap_where_that_works() -> None:
    assert engines.make_engine("auto").name == "bubblewrap"


def test_doctor_is_only_alarmed_by_an_engine_that_was_chosen(place: Path) -> None:
    usual = {finding.name: finding.ok for finding in engines.probe_containers()}
    chosen = {finding.name: finding for finding in engines.probe_containers("docker")}
    assert usual == {"docker": None, "gvisor": None, "podman": None}
    assert chosen["docker"].ok is False and "apt-get" in chosen["docker"].next_step


@given(st.sets(st.integers(0, 2**32 - 1), min_size=1, max_size=5), st.integers(0, 2**64 - 1))
def test_masks_match_every_number_but_those_that_are_refused(refused: set[int], number: int) -> None:
    pairs = docker_seccomp.all_but(sorted(refused))
    for candidate in (number, *refused, *(r ^ 1 for r in refused), *(r | 1 << 40 for r in refused)):
        matched = any(candidate & mask == value for mask, value in pairs)
        assert matched == (candidate & 0xFFFFFFFF not in refused)


def test_the_profile_and_the_filter_know_the_same_calls() -> None:
    header = Path("/usr/include", f"{platform.machine()}-linux-gnu", "asm/unistd_64.h")
    if not header.exists():
        pytest.skip(f"no kernel header {header} here")
    lines = [line.split() for line in header.read_text().splitlines() if line.startswith("#define __NR_")]
    named = {words[1].removeprefix("__NR_") for words in lines}
    known = {*docker_seccomp.ALLOWED, *seccomp.DENIED, *seccomp._SPECIAL}
    # Of these there is only the number.
    unused = {"afs_syscall", "epoll_ctl_old", "epoll_wait_old", "getpmsg", "putpmsg", "security", "tuxcall"}
    assert named - known <= unused
    assert set(docker_seccomp.ALLOWED).isdisjoint(seccomp.DENIED)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "amd64"])
def test_the_profile_is_for_one_architecture_and_refuses_by_default(machine: str) -> None:
    profile = json.loads(docker_seccomp.profile(machine))
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert len(profile["architectures"]) == 1
    assert all(rule["action"] in ("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO") for rule in profile["syscalls"])
