"""The life of a sandbox: start, signals, end, and what it shows of itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from kernel_gateway.errors import EngineUnavailable, UnsafePath
from kernel_gateway.sandbox.engine import Exit, Mount

from .conftest import IS_ROOT, PYTHON, Session, needs_root


async def line_of(sandbox: Any, word: str) -> None:
    """Return when the log holds ``word``; the engine tells nobody that there is more of it."""
    while word not in sandbox.log_tail():
        await asyncio.sleep(0.005)


async def test_the_exit_status_is_the_commands(session: Session) -> None:
    assert (await session.run("/bin/sh", "-c", "exit 7"))[0] == Exit(7)


async def test_a_signal_is_a_negative_status(session: Session) -> None:
    assert (await session.run("/bin/sh", "-c", "kill -SEGV $$"))[0] == Exit(-signal.SIGSEGV)


async def test_a_command_that_is_missing_ends_with_127_and_says_so(session: Session) -> None:
    end, log = await session.run("/image/nothing")
    assert end.status == 127
    assert "nothing" in log


async def test_output_is_kept_from_its_end_in_bounded_memory(session: Session) -> None:
    _, log = await session.run(PYTHON, "-c", "print('x' * 1_000_000); print('the end')")
    assert len(log) == 64 * 1024
    assert log.endswith("the end\n")


async def test_the_environment_is_exactly_the_given_one(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", "canary-value")
    session.environment = {"GIVEN": "a b=c\n'\""}
    found = await session.value("result = dict(os.environ)")
    assert found["GIVEN"] == "a b=c\n'\""
    assert set(found) <= {"GIVEN", "PATH", "LD_LIBRARY_PATH", "PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}


async def test_the_command_starts_in_the_workspace(session: Session) -> None:
    assert await session.value("result = os.getcwd()") == "/workspace"


async def test_signals_reach_the_command_alone(session: Session) -> None:
    sandbox = await session.python(
        "import signal, subprocess, sys\n"
        "child = subprocess.Popen(['/bin/sleep', '1000'])\n"
        "def told(*_):\n"
        "    print('told', child.poll(), flush=True); sys.exit(3)\n"
        "signal.signal(signal.SIGUSR1, told); print('ready', flush=True); signal.pause()"
    )
    await line_of(sandbox, "ready")
    await sandbox.signal_command(signal.SIGUSR1)
    assert await sandbox.wait() == Exit(3)
    assert "told None" in sandbox.log_tail()


async def test_an_interrupt_works_although_the_starter_ignores_it(session: Session) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        sandbox = await session.python("import time; print('ready', flush=True); time.sleep(1000)")
    finally:
        signal.signal(signal.SIGINT, before)
    await line_of(sandbox, "ready")
    await sandbox.signal_command(signal.SIGINT)
    await sandbox.wait()
    assert "KeyboardInterrupt" in sandbox.log_tail()


async def test_a_signal_to_a_command_that_is_gone_is_no_error(session: Session) -> None:
    sandbox = await session.start("/bin/true")
    await sandbox.wait()
    await sandbox.signal_command(signal.SIGKILL)


async def test_the_end_of_the_command_ends_its_children(session: Session) -> None:
    sandbox = await session.start("/bin/sh", "-c", "setsid nohup sleep 1000 & (sleep 1001 &) ; echo done")
    await sandbox.wait()
    assert not processes_of_the_sandbox(session, ("sleep",))


async def test_stop_ends_everything_and_may_be_repeated(session: Session) -> None:
    sandbox = await session.start("/bin/sh", "-c", "trap '' INT TERM; setsid sleep 1000 & echo ready; wait; sleep 1000")
    await line_of(sandbox, "ready")
    assert await sandbox.stop() == Exit(-signal.SIGKILL)
    assert await sandbox.stop() == await sandbox.wait() == Exit(-signal.SIGKILL)
    assert not processes_of_the_sandbox(session, ("sleep", "sh", "bwrap"))


async def test_a_stopped_sandbox_leaves_no_mount_and_no_group(session: Session) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    sandbox = await session.start("/bin/sleep", "1000")
    groups = set(Path("/sys/fs/cgroup").rglob("cell-gateway-*"))
    await sandbox.stop()
    assert not [
        group for group in groups if group.is_dir() and not (group / "cgroup.procs").read_text() and _is_new(group)
    ]
    assert Path("/proc/self/mountinfo").read_text() == before


def _is_new(group: Path) -> bool:
    return group.stat().st_uid == os.geteuid() and str(os.getpid()) in (group / "cgroup.procs").read_text()


async def test_descriptors_of_ours_are_closed_when_it_ends(session: Session) -> None:
    await session.run("/bin/true")
    before = open_descriptors()
    for _ in range(3):
        await session.run("/bin/true")
    assert open_descriptors() == before


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_no_descriptor_of_ours_is_open_inside(session: Session, tmp_path: Path) -> None:
    secret = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(secret, True)
    try:
        found = await session.value("result = sorted(int(fd) for fd in os.listdir('/proc/self/fd'))")
    finally:
        os.close(secret)
    assert found == [0, 1, 2, 3]  # 3 is the listing itself


async def test_stdout_can_be_opened_by_name(session: Session) -> None:
    end, log = await session.run("/bin/sh", "-c", "echo words > /dev/stderr")
    assert (end.status, log) == (0, "words\n")


async def test_the_command_runs_as_the_sessions_user_on_the_machine(session: Session) -> None:
    sandbox = await session.start("/bin/sleep", "1000")
    uids = {path.stat().st_uid for path in processes_of_the_sandbox(session, ("sleep", "sh", "bwrap"))}
    await sandbox.stop()
    assert uids == {session.host_uid}
    assert 0 not in uids


async def test_stats_count_its_processes(session: Session) -> None:
    sandbox = await session.start("/bin/sh", "-c", "sleep 1000 & sleep 1000 & echo ready; wait")
    await line_of(sandbox, "ready")
    stats = await sandbox.stats()
    await sandbox.stop()
    assert stats["processes"] == 3
    assert 0 < stats["memory_bytes"] < 200 * 1024**2


async def test_isolation_names_every_limit(session: Session) -> None:
    sandbox = await session.start("/bin/true")
    await sandbox.wait()
    names = {"memory", "processes", "cpu", "disk", "network", "files", "syscalls", "privileges"}
    assert set(sandbox.isolation) == names | {"file size", "open files", "core files"}
    assert sandbox.isolation["disk"] == "none"
    assert sandbox.isolation["memory"] in ("enforced", "watched")


async def test_a_sandbox_is_not_started_beside_the_main_thread(session: Session) -> None:
    caught: list[BaseException] = []

    def start() -> None:
        try:
            asyncio.run(session.start("/bin/true"))
        except EngineUnavailable as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


@needs_root
async def test_root_without_a_session_uid_is_refused(session: Session) -> None:
    for uid in (None, 0):
        with pytest.raises(EngineUnavailable, match="never runs as root"):
            await session.engine.start(session.spec(["/bin/true"], uid=uid))


@pytest.mark.skipif(IS_ROOT, reason="root may start a sandbox for any user")
async def test_a_user_cannot_start_a_sandbox_for_another(session: Session) -> None:
    with pytest.raises(EngineUnavailable, match="Only root"):
        await session.engine.start(session.spec(["/bin/true"], uid=os.geteuid() + 1))


async def test_a_sandbox_that_cannot_be_made_says_why(session: Session, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="missing"):
        await session.engine.start(session.spec(["/bin/true"], image=tmp_path / "missing"))


async def test_a_start_that_is_given_up_leaves_nothing(session: Session) -> None:
    for wait in (0.0, 0.002, 0.005, 0.01, 0.02):
        task = asyncio.create_task(session.start("/bin/sleep", "1000"))
        await asyncio.wait([task], timeout=wait)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await task).stop()
        assert not processes_of_the_sandbox(session, ("sleep", "bwrap"))


async def test_folders_appear_at_their_places_with_their_rights(session: Session) -> None:
    (session.folder / "outputs" / "whole.txt").write_text("whole")
    found = await session.value(
        "result = {}\n"
        "for place in ('/image', '/workspace', '/outputs', '/home/user', '/run/kernel', '/tmp', '/dev/shm', '/run'):\n"
        "    try:\n"
        "        open(place + '/new', 'w').close(); result[place] = 'written'\n"
        "    except OSError as error:\n"
        "        result[place] = errno.errorcode[error.errno]"
    )
    writable = ("/workspace", "/home/user", "/run/kernel", "/tmp", "/dev/shm", "/run")
    assert found == {"/image": "EROFS", "/outputs": "EROFS", **dict.fromkeys(writable, "written")}
    assert (session.workspace / "new").stat().st_uid == session.host_uid


async def test_nothing_is_writable_when_the_spec_says_so(session: Session) -> None:
    sandbox = await session.engine.start(
        session.spec(["/bin/sh", "-c", "touch /workspace/x /home/user/x /run/kernel/x"], writable=False)
    )
    await sandbox.wait()
    assert not list(session.folder.glob("*/x"))


async def test_a_mount_shows_a_folder_and_a_file_read_only(session: Session, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.txt").write_text("words")
    session.mounts = (Mount(data, "/workspace/inputs/data"), Mount(data / "a.txt", "/workspace/inputs/deep/a.txt"))
    found = await session.value(
        "result = [open('inputs/data/a.txt').read(), open('inputs/deep/a.txt').read()]\n"
        "try:\n"
        "    open('inputs/data/a.txt', 'w')\n"
        "except OSError as error:\n"
        "    result.append(errno.errorcode[error.errno])"
    )
    assert found == ["words", "words", "EROFS"]


@pytest.mark.parametrize("link", ["inputs", "inputs/data"])
async def test_a_mount_never_follows_a_link_of_the_workspace(session: Session, tmp_path: Path, link: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (session.workspace / link).parent.mkdir(exist_ok=True)
    (session.workspace / link).symlink_to(elsewhere)
    session.mounts = (Mount(tmp_path, "/workspace/inputs/data"),)
    with pytest.raises(UnsafePath):
        await session.run("/bin/true")
    assert not list(elsewhere.iterdir())


def processes_of_the_sandbox(session: Session, names: tuple[str, ...]) -> list[Path]:
    """Processes of the session's uid with one of these names that run in a pid namespace below ours."""
    own = Path("/proc/self/ns/pid").readlink()
    found: list[Path] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (
                process.stat().st_uid == session.host_uid
                and (process / "comm").read_text().strip() in names
                and _state(process) != "Z"
            ):
                inner = (process / "ns/pid").readlink() != own
                found += [process] if inner or IS_ROOT else []
        except OSError:
            continue
    return found


def _state(process: Path) -> str:
    return (process / "stat").read_text().rpartition(")")[2].split()[0]
