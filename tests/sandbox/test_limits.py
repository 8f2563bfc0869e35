"""What a sandbox may use of the machine."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from pathlib import Path

import pytest

from kernel_gateway.sandbox import limits
from kernel_gateway.sandbox.limits import cgroup_v2, groups, rlimits
from kernel_gateway.sandbox.limits.interface import hierarchies
from kernel_gateway.session.policy import Policy

from .conftest import MEGABYTE, PYTHON, Session
from .test_bubblewrap import line_of

_TAKE_400_MB = "import mmap\nroom = mmap.mmap(-1, 400 * 2**20)\nfor i in range(0, len(room), 4096):\n    room[i] = 1\n"
has_groups = pytest.mark.skipif(limits.describe() == "rlimits", reason="no cgroup can be made here")


@pytest.fixture
def small(session: Session) -> Session:
    session.policy = Policy(memory=200 * MEGABYTE, processes=40, cpus=1.0, disk=1024 * MEGABYTE)
    return session


@pytest.fixture
def without_groups(small: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(limits, "_group_makers", lambda policy: [])
    return small


@has_groups
async def test_memory_over_the_limit_ends_the_sandbox_and_says_why(small: Session) -> None:
    end, _ = await small.run(PYTHON, "-c", _TAKE_400_MB)
    assert end.status == -signal.SIGKILL
    assert end.out_of_memory


@has_groups
async def test_a_child_over_the_limit_does_not_make_a_death_of_memory(small: Session) -> None:
    code = f"import os\nif os.fork() == 0:\n    exec({_TAKE_400_MB!r})\nprint('child', os.wait()[1], flush=True)"
    sandbox = await small.python(code)
    end = await sandbox.wait()
    assert (end.status, end.out_of_memory) == (0, False)
    assert "child 9" in sandbox.log_tail()


async def test_an_allocation_far_over_the_limit_harms_nobody_else(make_session: object) -> None:
    other, greedy = make_session("other"), make_session("greedy")  # type: ignore[operator]
    neighbour = await other.python("print('ready', flush=True)\nprint(input.__name__)\nimport time; time.sleep(1000)")
    await line_of(neighbour, "ready")
    end, log = await greedy.run(
        PYTHON, "-c", "x = bytearray(40 * 2**30)\nfor i in range(0, len(x), 4096):\n    x[i] = 1"
    )
    assert end.out_of_memory or "MemoryError" in log
    assert (await neighbour.stats())["processes"] == 1
    assert not (await neighbour.stop()).out_of_memory


async def test_a_fork_bomb_is_held_and_the_command_goes_on(small: Session) -> None:
    code = (
        "import time\n"
        "pids, result = [], None\n"
        "try:\n"
        "    while len(pids) < 500:\n"
        "        pid = os.fork()\n"
        "        if pid == 0:\n"
        "            time.sleep(1000)\n"
        "        pids.append(pid)\n"
        "except BlockingIOError:\n"
        "    result = len(pids)"
    )
    assert 20 <= await small.value(code) <= 40


@has_groups
async def test_the_processor_limit_is_set(small: Session) -> None:
    sandbox = await small.start("/bin/sleep", "1000")
    quota = [int(p.read_text().split()[0]) for p in Path("/sys/fs/cgroup").rglob("cell-gateway-*/cpu.cfs_quota_us")]
    quota += [int(p.read_text().split()[0]) for p in Path("/sys/fs/cgroup").rglob("cell-gateway-*/cpu.max")]
    isolation = sandbox.isolation
    await sandbox.stop()
    assert 100_000 in quota or isolation["cpu"] == "none"


@has_groups
async def test_stats_of_a_group_count_kills(small: Session) -> None:
    code = f"import os, time\nif os.fork() == 0:\n    exec({_TAKE_400_MB!r})\nos.wait(); print('ready', flush=True); time.sleep(1000)"
    sandbox = await small.python(code)
    await line_of(sandbox, "ready")
    stats = await sandbox.stats()
    await sandbox.stop()
    assert stats["out_of_memory_kills"] == 1
    assert stats["memory_peak_bytes"] > 150 * MEGABYTE


async def test_a_resource_limit_refuses_memory_where_there_are_no_groups(without_groups: Session) -> None:
    without_groups.policy = Policy(memory=600 * MEGABYTE, processes=40)
    sandbox = await without_groups.python("bytearray(2**30)")
    end = await sandbox.wait()
    assert "MemoryError" in sandbox.log_tail()
    assert (end.status, end.out_of_memory, sandbox.isolation["memory"]) == (1, False, "watched")


async def test_the_sum_of_many_processes_is_watched_where_there_are_no_groups(without_groups: Session) -> None:
    without_groups.policy = Policy(memory=300 * MEGABYTE, processes=40)
    take = _TAKE_400_MB.replace("400", "200")
    code = (
        f"import os, time\nfor _ in range(3):\n    if os.fork() == 0:\n        exec({take!r}); break\ntime.sleep(1000)"
    )
    end, _ = await without_groups.run(PYTHON, "-c", code)
    assert (end.status, end.out_of_memory) == (-signal.SIGKILL, True)


async def test_threads_and_what_is_only_reserved_are_no_memory_where_there_are_no_groups(
    without_groups: Session,
) -> None:
    code = (
        "import threading\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        # As Node does for WebAssembly: private, anonymous, no reserve, no access.
        "libc.mmap.restype = ctypes.c_long\n"
        "assert libc.mmap(None, ctypes.c_long(10 * 2**30), 0, 0x4022, -1, ctypes.c_long(0)) > 0\n"
        "together = threading.Barrier(16)\n"
        "def work(n):\n"
        "    together.wait()\n"
        "    return len(bytes(n))\n"
        "with ThreadPoolExecutor(16) as pool:\n"
        "    result = sum(pool.map(work, [1000] * 16))"
    )
    assert await without_groups.value(code) == 16_000


async def test_shared_memory_is_watched_where_there_are_no_groups(without_groups: Session) -> None:
    end, _ = await without_groups.run(PYTHON, "-c", _TAKE_400_MB + "import time; time.sleep(1000)")
    assert (end.status, end.out_of_memory) == (-signal.SIGKILL, True)


NAMESPACED = rlimits._counts_by_namespace(os.uname().release)


def test_processes_are_counted_by_namespace_since_linux_5_14() -> None:
    releases = {"5.4.0-200-generic": False, "5.14.0-503.el9": True, "6.18.4": True, "odd": False}
    assert {release: rlimits._counts_by_namespace(release) for release in releases} == releases
    assert ((resource.RLIMIT_NPROC, 8) in rlimits.create(Policy(processes=7), os.getuid()).inside) == (
        NAMESPACED and os.getuid() != 0
    )


@pytest.mark.skipif(not NAMESPACED and os.getuid() != 0, reason="this kernel counts all that a user runs")
async def test_what_one_sandbox_starts_is_not_held_against_another(
    make_session: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_group_makers", lambda policy: [])
    one, other = make_session("one"), make_session("other")  # type: ignore[operator]
    for session in (one, other):
        session.policy = Policy(memory=200 * MEGABYTE, processes=40)
    waiting = await other.python("print('ready', flush=True)\nimport time; time.sleep(1000)")
    await line_of(waiting, "ready")
    code = (
        "import subprocess, threading\n"
        "held = [subprocess.Popen(['/bin/sleep', '1000']) for _ in range(35)]\n"
        "print('ready', flush=True); threading.Event().wait()"
    )
    many = await one.python(code)
    await line_of(many, "ready")
    await waiting.stop()
    assert (
        await other.value("import subprocess\nresult = [subprocess.run(['/bin/true']).returncode for _ in range(3)]")
        == [0] * 3
    )
    await many.stop()


@has_groups
async def test_groups_of_the_killed_are_swept_when_they_are_old_and_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = limits.create(Policy(memory=200 * MEGABYTE), 231_000)
    fds = limit.join_fds()
    folders = [Path(f"/proc/self/fd/{fd}").readlink().parent for fd in fds]
    for fd in fds:
        os.close(fd)
    groups.sweep({folder.parent for folder in folders})
    assert all(folder.is_dir() for folder in folders)
    monkeypatch.setattr(groups, "_STRAY_SECONDS", -1.0)
    for folder in folders:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(groups, "PREFIX", folder.name)
            groups.sweep([folder.parent])
    assert not any(folder.is_dir() for folder in folders)
    await limit.remove()


def test_version_1_groups_are_found_where_a_container_mounts_its_own_part() -> None:
    mounts = "33 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    found = hierarchies(mounts, "4:memory:/docker/abc/inner\n")
    assert str(found["memory"].mount_point) == "/sys/fs/cgroup/memory"


def test_combined_controllers_are_found_by_each_name() -> None:
    found = hierarchies("33 31 0:32 / /tmp rw shared:1 - cgroup cgroup rw,cpu,cpuacct\n", "4:cpu,cpuacct:/\n")
    assert found["cpu"] == found["cpuacct"]


def _tree(root: Path, places: dict[str, str]) -> None:
    for name, controllers in places.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name / "cgroup.subtree_control").write_text(controllers)
        (root / name / "cgroup.controllers").write_text("cpu memory pids")
        (root / name / "cgroup.procs").write_text("")


def _version_2(root: Path, own: str) -> dict[str, object]:
    return hierarchies(f"1 1 0:1 / {root} rw - cgroup2 cgroup2 rw\n", f"0::/{own}\n")  # type: ignore[return-value]


def test_version_2_takes_the_nearest_group_that_hands_out_memory_and_processes(tmp_path: Path) -> None:
    _tree(tmp_path, {".": "memory pids", "user.slice": "cpu memory pids", "user.slice/session.scope": ""})
    assert cgroup_v2.parent(_version_2(tmp_path, "user.slice/session.scope")) == tmp_path / "user.slice"  # type: ignore[arg-type]


def test_version_2_is_not_used_where_nobody_hands_out_memory(tmp_path: Path) -> None:
    _tree(tmp_path, {".": "cpu", "a": ""})
    (tmp_path / "cgroup.controllers").write_text("cpu")
    assert cgroup_v2.parent(_version_2(tmp_path, "a")) is None  # type: ignore[arg-type]


def test_version_2_writes_the_limits_and_reads_the_kills(tmp_path: Path) -> None:
    limit = cgroup_v2.create(tmp_path, Policy(memory=123, processes=7))
    assert (limit.folder / "memory.max").read_text() == "123"
    assert (limit.folder / "pids.max").read_text() == "9"
    (limit.folder / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 2\noom_kill 2\noom_group_kill 0\n")
    (limit.folder / "memory.current").write_text("4096\n")
    assert limit.out_of_memory_kills() == 2
    assert limit.stats(1)["memory_bytes"] == 4096


async def test_descendants_are_the_whole_tree() -> None:
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", "sleep 1000 & echo ready; wait", stdout=-1, start_new_session=True
    )
    assert process.stdout is not None
    await process.stdout.readline()
    found = list(rlimits.descendants(process.pid))
    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    assert len(found) == 2 and found[0] == process.pid
