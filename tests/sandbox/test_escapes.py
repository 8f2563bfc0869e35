"""Attempts of hostile code, by what they try to reach. Each runs in a real sandbox and must be refused."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from kernel_gateway.sandbox.engine import Mount

from .conftest import IS_ROOT, MEGABYTE, PYTHON, Session
from .test_bubblewrap import line_of

# Code → what ``result`` must match, as a pattern over its text.
FILES = [
    ("result = open('/proc/1/root/etc/shadow').read()", "ENOENT"),
    ("result = open('/proc/self/root/../../../../etc/shadow').read()", "ENOENT"),
    ("result = os.listdir('/proc/1')", re.escape("[]")),
    ("result = os.listdir('/proc/1/task')", "ENOENT"),
    ("result = open('/proc/1/environ', 'rb').read().decode()", "ENOENT"),
    ("result = open('/proc/1/mem', 'r+b')", "ENOENT"),
    ("os.chmod('/proc/1/exe', 0o4777)", "ENOENT"),
    ("os.chmod('/proc/self/exe', 0o4777)", "EROFS"),
    ("os.chmod('/proc/self/fd/0', 0o666)", "EPERM|EROFS"),
    ("result = open('/etc/x', 'w')", "EROFS"),
    ("result = open('/x', 'w')", "EROFS"),
    ("result = open('/usr/x', 'w')", "EROFS"),
    ("result = open('/usr/bin/x', 'w')", "EROFS|EACCES"),
    ("result = open('/dev/x', 'w')", "EROFS"),
    ("result = open('/home/x', 'w')", "EROFS"),
    ("result = open('/etc/passwd', 'w')", "EROFS|EACCES"),
    ("os.chmod('/etc/passwd', 0o666)", "EROFS"),
    ("os.rename('/etc', '/tmp/etc')", "EROFS|EXDEV"),
    ("os.mknod('/workspace/n', 0o60666, os.makedev(254, 0))", "EPERM"),
    ("os.mknod('/tmp/n', 0o20666, os.makedev(1, 1))", "EPERM"),
    ("os.link('/image/bin', '/workspace/bin')", "EXDEV|EPERM"),
    ("result = os.path.exists('/sys')", "False"),
    ("result = sorted(set(os.listdir('/')) - {'bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'})",
     re.escape("['dev', 'etc', 'home', 'image', 'outputs', 'proc', 'run', 'tmp', 'usr', 'var', 'workspace']")),
    ("result = [p for p in ('/root', '/opt', '/srv', '/mnt', '/usr/local', '/usr/src', '/usr/games', '/var/lib') if os.path.exists(p)]",
     re.escape("[]")),
    ("result = [p for p in ('/etc/shadow', '/etc/ssh', '/etc/pip.conf', '/etc/machine-id', '/etc/resolv.conf', '/etc/ssl/private')"
     " if os.path.exists(p)]", re.escape("[]")),
    ("result = os.listdir('/home')", re.escape("['user']")),
    ("result = os.listdir('/run')", re.escape("['kernel']")),
]  # fmt: skip
DEVICES = [
    (f"result = open('/dev/{name}', 'rb')", "ENOENT")
    for name in ("mem", "vda", "sda", "fuse", "kvm", "loop0", "kmsg", "net/tun", "vsock")
]
KERNEL = [
    *((f"result = open('/proc/sys/{name}', 'r+')", "EROFS|EACCES|EPERM|ENOENT") for name in (
        "kernel/core_pattern", "vm/drop_caches", "kernel/hostname")),
    ("result = open('/proc/sysrq-trigger', 'w')", "EROFS|EACCES|ENOENT"),
    ("result = sum(os.access(os.path.join(d, f), os.W_OK) for d, _, fs in os.walk('/proc/sys') for f in fs)", "^0$"),
    *((f"result = open('/proc/{name}').read()", "EACCES|EPERM|ENOENT") for name in (
        "keys", "key-users", "kallsyms", "kcore", "kmsg", "timer_list", "interrupts", "cmdline", "partitions", "modules", "config.gz")),
    ("result = os.listdir('/proc/fs')", re.escape("[]")),
    ("os.open('/proc/fs/x', os.O_CREAT)", "EROFS"),
    ("os.nice(-10)", "EPERM|EACCES"),
    ("os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))", "EPERM"),
    ("import resource\nresult = resource.getrlimit(resource.RLIMIT_CORE)", re.escape("[0, 0]")),
    ("import resource\nresult = resource.getrlimit(resource.RLIMIT_NOFILE)", re.escape("[4096, 4096]")),
]  # fmt: skip
PRIVILEGES = [
    ("os.setuid(0)", "EINVAL|EPERM"),
    ("os.setgroups([0])", "EPERM"),
    ("os.chroot('/tmp')", "EPERM"),
    ("result = [l.split()[1] for l in open('/proc/self/status') if l.startswith('Cap')]", re.escape(str(["0" * 16] * 5))),
    ("result = [l.split()[1] for l in open('/proc/self/status') if l.startswith('NoNewPrivs')]", re.escape("['1']")),
    ("import subprocess\nresult = subprocess.run(['/usr/bin/unshare', '-Urm', '/bin/true']).returncode", "^[1-9]"),
    ("import subprocess\nopen('s', 'w').write('#!/bin/sh\\nid -u'); os.chmod('s', 0o6755)\n"
     "result = subprocess.run(['./s'], capture_output=True, text=True).stdout", "^1000"),
    ("os.kill(1, 9)\nresult = 'process 1 lives'", "process 1 lives"),
    ("os.write(os.open('/proc/self/uid_map', os.O_WRONLY), b'0 0 1')", "EPERM|EACCES"),
    ("result = open('/dev/tty')", "ENXIO"),
]  # fmt: skip
NETWORK = [
    ("result = [name for _, name in socket.if_nameindex()]", re.escape("['lo']")),
    ("s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); socket.create_connection(s.getsockname())\nresult = 'own loopback works'",
     "works"),
    ("result = open('/proc/net/route').read().count('\\n')", "^1$"),
    ("result = 'no'\n"
     "try:\n    socket.getaddrinfo('example.invalid', 80)\nexcept socket.gaierror as error:\n    result = 'refused'", "refused"),
    ("result = socket.gethostname()", "^sandbox$"),
]  # fmt: skip


def named(table: list[tuple[str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("code", "expected"), table, ids=[code.partition("\n")[0][:70] for code, _ in table])


@named(FILES)
async def test_files_of_the_machine_are_out_of_reach(session: Session, code: str, expected: str) -> None:
    assert re.search(expected, str(await session.value(f"result = None\n{code}")))


@named(DEVICES)
async def test_devices_are_absent(session: Session, code: str, expected: str) -> None:
    assert await session.value(code) == expected


@named(KERNEL)
async def test_the_kernels_own_files_and_rights_are_refused(session: Session, code: str, expected: str) -> None:
    assert re.search(expected, str(await session.value(f"result = None\n{code}")))


@named(PRIVILEGES)
async def test_no_privilege_is_gained(session: Session, code: str, expected: str) -> None:
    assert re.search(expected, str(await session.value(f"result = None\n{code}")))


@named(NETWORK)
async def test_there_is_no_network_but_its_own_loopback(session: Session, code: str, expected: str) -> None:
    assert re.search(expected, str(await session.value(f"result = None\n{code}")))


async def test_the_starters_environment_is_nowhere_in_proc(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KG_CANARY", "canary-5f1d")
    found = await session.value(
        "import glob\n"
        "found = []\n"
        "for path in glob.glob('/proc/[0-9]*/*') + glob.glob('/proc/[0-9]*/fd/*'):\n"
        "    if path.split('/')[-1] in ('environ', 'cmdline', 'comm', 'stat', 'status', 'maps', 'mounts', 'mountinfo'):\n"
        "        data = open(path, 'rb').read()\n"
        "        found += [path] if b'canary' + b'-5f1d' in data else []\n"
        "result = found"
    )
    assert found == []


async def test_processes_can_still_be_listed(session: Session) -> None:
    end, log = await session.run("/bin/ps", "-e", "-o", "pid,comm")
    assert end.status == 0, log
    assert log.split()[:2] == ["PID", "COMMAND"]


async def test_killing_everything_ends_only_this_sandbox(session: Session) -> None:
    end, _ = await session.run(
        PYTHON, "-c", "import os, subprocess; subprocess.Popen(['/bin/sleep', '1000']); os.kill(-1, 9)"
    )
    assert end.status in (-signal.SIGKILL, 0)


async def test_a_crash_leaves_no_core_file(session: Session) -> None:
    end, _ = await session.run(PYTHON, "-c", "import os; os.abort()")
    assert end.status == -signal.SIGABRT
    assert not list(session.workspace.iterdir())


async def test_the_machines_loopback_cannot_be_reached(session: Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert (
            await session.value(f"socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5)")
            == "ECONNREFUSED"
        )


async def test_abstract_sockets_of_the_machine_cannot_be_reached(session: Session) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0cell-gateway-test-" + str(os.getpid()))
        server.listen()
        code = (
            f"s = socket.socket(socket.AF_UNIX); s.connect('\\0cell-gateway-test-{os.getpid()}')\nresult = 'connected'"
        )
        assert await session.value(code) == "ECONNREFUSED"


async def test_shared_memory_and_processes_of_another_session_are_not_seen(make_session: object) -> None:
    one, other = make_session("one"), make_session("other")  # type: ignore[operator]
    code = (
        "import ctypes, os, time\n"
        "libc = ctypes.CDLL(None)\n"
        "print('segment', libc.shmget(4711, 4096, 0o1666), flush=True)\n"
        "open('/dev/shm/mine', 'w').close(); open('/tmp/mine', 'w').close()\n"
        "print('ready', flush=True); time.sleep(1000)"
    )
    sandbox = await one.python(code)
    await line_of(sandbox, "ready")
    found = await other.value(
        "result = [libc.shmget(4711, 4096, 0o666), os.listdir('/dev/shm'), os.listdir('/tmp'),"
        " len([p for p in os.listdir('/proc') if p.isdigit()])]"
    )
    await sandbox.stop()
    assert found == [-1, [], [], 2]


async def test_a_file_over_the_disk_limit_is_refused(session: Session) -> None:
    assert await session.value("result = open('big', 'wb').truncate(60 * 2**20)") == "EFBIG"


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm", "/run"])
async def test_a_full_temporary_folder_is_an_error_and_not_a_death(session: Session, place: str) -> None:
    code = (
        f"number = 0\n"
        f"while True:\n"
        f"    with open(f'{place}/{{number}}', 'wb') as file:\n"
        f"        file.write(bytes(2**20))\n"
        f"    number += 1\n"
        f"    assert number < 600"
    )
    assert await session.value(code) == "ENOSPC"


async def test_temporary_folders_hold_at_most_a_quarter_of_the_memory(session: Session) -> None:
    code = "result = sum(os.statvfs(p).f_blocks * os.statvfs(p).f_frsize for p in ('/tmp', '/dev/shm', '/run'))"
    assert await session.value(code) <= session.policy.memory / 4


async def test_no_writable_place_is_without_a_limit(session: Session, tmp_path: Path) -> None:
    session.mounts = (Mount(tmp_path, "/workspace/inputs/x"),)
    found = await session.value(
        "result = []\n"
        "for line in open('/proc/self/mountinfo'):\n"
        "    fields, tail = line.split(' - ')\n"
        "    if tail.startswith('tmpfs') and fields.split()[5].startswith('rw') and 'size=' not in tail:\n"
        "        result.append(fields.split()[4])"
    )
    assert found == []


async def test_mounts_carry_neither_devices_nor_setuid(session: Session) -> None:
    found = await session.value(
        "result = []\n"
        "for line in open('/proc/self/mountinfo'):\n"
        "    place, options = line.split()[4:6]\n"
        "    if 'nosuid' not in options or ('nodev' not in options and not place.startswith('/dev/')):\n"
        "        result.append(place)"
    )
    assert found == []


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user's folder is already reachable for that user")
async def test_folders_below_a_closed_home_can_be_shown_without_opening_it(
    make_session: object, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    session = make_session("home/session")  # type: ignore[operator]
    assert await session.value("open('x', 'w').close()\nresult = os.listdir('.')") == ["x"]
    assert home.stat().st_mode & 0o777 == 0o700


async def test_the_image_cannot_be_changed_through_the_program_that_runs_from_it(session: Session) -> None:
    code = "result = open('/proc/self/exe', 'r+b')"
    assert await session.value(code) in ("EROFS", "EACCES", "ETXTBSY")


def test_the_python_of_the_tests_is_the_image() -> None:
    assert Path(sys.base_prefix, "bin").is_dir()
    assert MEGABYTE == 2**20
