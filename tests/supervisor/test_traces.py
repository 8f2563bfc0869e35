"""After ``stop`` nothing of a session is left on the machine but its folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from kernel_gateway.session.folder import runtime_folder
from tests.conftest import ROOT, NewSession

# Where programs leave files when they do; the session's own folder is below none of them but the last.
PLACES = ("/run/cell-gateway", "/dev/shm", "/var/tmp")

MESS = """
import os, subprocess
open('/tmp/a', 'w').write('x')
open('/dev/shm/b', 'w').write('x')
subprocess.Popen(['setsid', 'nohup', 'sleep', '9999'])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp('sleep', ['sleep', '9999'])
    os._exit(0)
os.wait()
"""


def processes_of(marks: list[bytes], uids: set[int]) -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
            is_ours = process.stat().st_uid in uids or any(mark in line for mark in marks)
        except OSError:
            continue
        if is_ours and int(process.name) != os.getpid():
            yield f"{process.name} {line!r}"


def groups() -> set[Path]:
    return {Path(root) for root, names, _ in os.walk("/sys/fs/cgroup") if Path(root).name.startswith("cell-gateway-")}


def group_holds(group: Path, pid: int) -> bool:
    return str(pid) in (group / "cgroup.procs").read_text().split()


def files_of(uids: set[int]) -> Iterator[Path]:
    for place in PLACES:
        for root, folders, files in os.walk(place):
            for name in (*folders, *files):
                if (path := Path(root, name)).lstat().st_uid in uids:
                    yield path


async def test_nothing_is_left_after_stop(new_session: NewSession) -> None:
    session = await new_session()
    result = await session.python(MESS)
    assert result.exit == "ok"
    await session.bash("sleep 9999 &")
    supervisor = int((await session.client.hello())["pid"])
    values, runtime = session.folder.read(), runtime_folder(session.folder)
    uids = {values[key] for key in ("uid", "recorder_uid") if values.get(key) is not None}
    own_groups = {group for group in groups() if any(group_holds(group, pid) for pid in below(supervisor))}
    assert own_groups or not ROOT
    await session.client.stop()
    marks = [os.fsencode(session.folder.path), os.fsencode(runtime)]
    assert list(processes_of(marks, uids)) == []
    assert not any(group.exists() for group in own_groups)
    assert str(session.folder.path) not in Path("/proc/self/mountinfo").read_text()
    loops = [path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    assert not any(str(session.folder.path) in backing for backing in loops)
    assert list(files_of(uids)) == []
    assert not list(runtime.parent.glob(f"*{runtime.name}*"))


def below(pid: int) -> list[int]:
    found = [pid]
    for current in found:
        for children in Path(f"/proc/{current}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found
