"""The sandbox's list of attempts, in containers. What a container engine makes come out otherwise stands here."""

from __future__ import annotations

import json
import platform
import re
import signal
import socket
from dataclasses import replace
from typing import Any

import pytest

from kernel_gateway.sandbox import seccomp
from kernel_gateway.sandbox.docker_daemon import EngineName
from tests.sandbox.test_escapes import DEVICES, FILES, KERNEL, NETWORK, PRIVILEGES

from .conftest import Container

ENDS = "ends the sandbox"
ROWS = [*FILES, *DEVICES, *KERNEL, *PRIVILEGES, *NETWORK]
# A pattern of the code → what is seen instead.
CONTAINERS = {
    # Process 1 is ours, and lets nobody look into it.
    r"listdir\('/proc/1'\)": "environ",
    r"listdir\('/proc/1/task'\)": r"^\['1', ",
    "'/proc/1/": "EACCES",
    r"open\('/dev/x'": "EACCES",
    "'/image/bin'": "ENOENT",
    r"exists\('/sys'\)": "True",
    r"set\(os.listdir\('/'\)": "'home', 'image', 'outputs', 'proc', 'run', 'sys', 'tmp', 'usr', 'var', 'workspace']$",
    r"in \('/root', '/opt'": re.escape("['/var/lib']"),
    # Empty: the engine puts a file there, which names no server.
    r"in \('/etc/shadow', '/etc/ssh'": re.escape("['/etc/resolv.conf']"),
    r"listdir\('/run'\)": "'kernel'",
    # A masked file is an empty one.
    r"open\('/proc/[a-z_.-]+'\).read\(\)": "^$|EACCES|EPERM|ENOENT",
    "id -u": r"^2\d{5}\s*$",
}
# What its own kernel, which is a program without rights on the machine, plays.
GVISOR = {
    # In any order, which is the daemon's.
    "'/proc/1/environ'": r"^((PATH=/usr/bin:/bin|HOSTNAME=sandbox|LD_LIBRARY_PATH=/image/lib|HOME=/home/user)\0){4}$",
    "'/proc/self/exe'": "EPERM",
    # Whose file it is, is asked before whether it may be written at all.
    r"chmod\('/etc/passwd'": "EPERM",
    r"open\('/(etc|usr|usr/bin|home)/x'|open\('/x'": "EACCES",
    "'/dev/(fuse|net/tun)'": "BufferedReader",
    "'/dev/tty'": "EIO",
    r"mknod\('/tmp/n'": "None",
    "'/proc/fs": "ENOENT",
    r"open\('/proc/cmdline'\)": "gvisor",
    "os.nice": "None",
    "SCHED_FIFO": "EINVAL",
    r"startswith\('Cap'\)": re.escape(str(["0" * 16] * 4)),
    r"startswith\('NoNewPrivs'\)": re.escape("[]"),
    r"os.kill\(1, 9\)": ENDS,
}
# One container for all rows.
RUNNER = """
found = []
for code in json.loads(ROWS):
    names = {**globals(), "result": None}
    try:
        exec(code, names)
        value = str(json.loads(json.dumps(names["result"], default=str)))
    except OSError as error:
        value = errno.errorcode[error.errno]
    found.append(value)
result = found
"""


def expected(engine: EngineName, code: str, usual: str) -> str:
    tables = (GVISOR, CONTAINERS) if engine == "gvisor" else (CONTAINERS,)
    return next((table[piece] for table in tables for piece in table if re.search(piece, code)), usual)


async def test_attempts_gain_nothing(container: Container, engine_name: EngineName) -> None:
    rows = [(code, expected(engine_name, code, usual)) for code, usual in ROWS]
    rows = [(code, wanted) for code, wanted in rows if wanted != ENDS]
    answers = await container.value(f"ROWS = {json.dumps([code for code, _ in rows])!r}\n{RUNNER}")
    wrong = [(c, wanted, got) for (c, wanted), got in zip(rows, answers, strict=True) if not re.search(wanted, got)]
    assert wrong == [], "\n".join(map(str, wrong))


async def test_killing_process_one_gains_nothing(container: Container, engine_name: EngineName) -> None:
    """gVisor lets it be killed, which ends the sandbox."""
    end, log = await container.run(
        container.python_path, "-c", "import os, time; os.kill(1, 9); time.sleep(1); print('lives')"
    )
    assert (end.status, log) == ((0, "lives\n") if engine_name == "docker" else (-signal.SIGKILL, ""))


_COLUMN = 0 if platform.machine() == "x86_64" else 1


def number(name: str) -> int:
    return (seccomp.DENIED.get(name) or seccomp._SPECIAL[name])[_COLUMN] or -1


async def test_the_filter_refuses_what_it_refuses_in_a_bubblewrap_sandbox(
    container: Container, engine_name: EngineName
) -> None:
    if engine_name == "gvisor":
        pytest.skip("gVisor answers system calls itself; the filter of the machine's kernel is its own")
    numbers = {name: pair[_COLUMN] for name, pair in seccomp.DENIED.items() if pair[_COLUMN] is not None}
    socket_, clone, ioctl = number("socket"), number("clone"), number("ioctl")
    code = f"""
denied = {{n: call(k, -1, -1, -1, -1, -1, -1) for n, k in {numbers!r}.items()}}
opened = [call({socket_}, f, t, p) for f, t, p in ((1, 1, 0), (2, 1, 0), (10, 2, 17), (16, 3, 0), (2, 2 | 0o2000000, 17))]
closed = [call({socket_}, f, t, p) for f, t, p in
    ((40, 1, 0), (40 | 1 << 32, 1, 0), (17, 3, 0), (38, 5, 0), (16, 3, 9), (16, 3, 15 | 1 << 32), (2, 1, 132), (2, 5, 0), (44, 3, 0))]
spaces = [call({clone}, flag | 17, 0, 0, 0, 0) for flag in (0x20000, 0x2000000, 0x10000000, 0x20000000, 0x40000000)]
a, b = os.openpty()
typed = [call({ioctl}, b, r, 0) for r in (0x5412, 0x541C, 0x5423, 0x5412 | 1 << 32)]
size = os.get_terminal_size(b).columns
result = [denied, [isinstance(o, int) for o in opened], closed, spaces, typed, size, call(435, 0, 0), call(500, 0, 0)]
"""
    denied, opened, closed, spaces, typed, size, clone3, unknown = await container.value(code)
    # Newer than the engine's libseccomp: it cannot name them, and they do not exist.
    assert {name for name, answer in denied.items() if answer != "EPERM"} <= {
        "statmount",
        "listmount",
        "open_tree_attr",
    }
    assert set(denied.values()) <= {"EPERM", "ENOSYS"}
    assert opened == [True] * 5
    assert {*closed, *spaces, *typed} == {"EPERM"}
    assert (size, clone3, unknown) == (0, "ENOSYS", "ENOSYS")


async def test_no_socket_leads_to_the_machine(container: Container) -> None:
    families = {"vsock": 40, "packet": 17, "bluetooth": 31, "alg": 38}
    code = f"""
result = {{}}
for name, family in {families!r}.items():
    try:
        socket.socket(family, 1); result[name] = 'open'
    except OSError as error:
        result[name] = 'refused'
"""
    assert set((await container.value(code)).values()) == {"refused"}
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert await container.value(f"socket.create_connection(('127.0.0.1', {port}), 5)") == "ECONNREFUSED"


async def test_a_full_temporary_folder_is_an_error_and_not_a_death(container: Container) -> None:
    code = """
result = []
for place in ('/tmp', '/dev/shm', '/run'):
    try:
        for number in range(600):
            with open(f'{place}/{number}', 'wb') as file:
                file.write(bytes(2**20))
    except OSError as error:
        result.append(errno.errorcode[error.errno])
    for number in range(600):
        if os.path.exists(f'{place}/{number}'):
            os.unlink(f'{place}/{number}')
"""
    assert await container.value(code) == ["ENOSPC"] * 3


async def test_mounts_name_nothing_of_the_machine_but_what_is_shown(
    container: Container, engine_name: EngineName
) -> None:
    code = "result = [line.split()[3:5] for line in open('/proc/self/mountinfo')]"
    found: list[Any] = await container.value(code)
    shown = {place for root, place in found if root != "/" and not place.startswith(("/proc", "/sys", "/dev"))}
    usual = {
        "/image",
        "/outputs",
        "/workspace",
        "/home/user",
        "/run/kernel",
        "/etc/passwd",
        "/etc/group",
        "/etc/hostname",
    }
    assert shown <= (usual if engine_name == "docker" else set())


async def test_processes_end_at_the_limit(container: Container, engine_name: EngineName) -> None:
    """gVisor's own kernel, which is a program, ends with them."""
    container.policy = replace(container.policy, processes=60)
    code = """
children, result = [], 'no limit'
try:
    while len(children) < 1000:
        pid = os.fork()
        if pid == 0:
            os.read(os.pipe()[0], 1)
        children.append(pid)
except OSError as error:
    result = errno.errorcode[error.errno]
for pid in children:
    os.kill(pid, 9)
result = [result, len(children) < 200]
"""
    if engine_name == "docker":
        assert await container.value(code) == ["EAGAIN", True]
    else:
        end, _ = await container.run(container.python_path, "-c", f"import errno, os\n{code}")
        assert end.status != 0


async def test_a_file_over_the_disk_limit_is_refused(container: Container) -> None:
    assert await container.value("result = open('big', 'wb').truncate(60 * 2**20)") == "EFBIG"
