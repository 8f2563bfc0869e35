"""The system call filter, by trying every call it names in a real sandbox."""

from __future__ import annotations

import asyncio
import platform
import signal
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from kernel_gateway.sandbox import seccomp, users
from kernel_gateway.sandbox.bubblewrap import BubblewrapEngine

from .conftest import IS_ROOT, Session

_COLUMN = 0 if platform.machine() == "x86_64" else 1
_NUMBERS = {name: numbers[_COLUMN] for name, numbers in seccomp.DENIED.items() if numbers[_COLUMN] is not None}
_CLONE, _IOCTL, _SOCKET, _SOCKETPAIR = (
    seccomp._SPECIAL[name][_COLUMN] for name in ("clone", "ioctl", "socket", "socketpair")
)
only_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="these calls exist on x86_64 only")


@pytest.fixture(scope="module")
def refusals(engine: BubblewrapEngine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each denied call answers, asked with arguments that the kernel itself would answer otherwise or not refuse."""
    folder = tmp_path_factory.mktemp("seccomp") / "session"
    uid = users.allocate_uid(folder) if IS_ROOT else None
    session = Session(engine, folder, uid)
    code = f"result = {{n: call(k, -1, -1, -1, -1, -1, -1) for n, k in {_NUMBERS!r}.items()}}"
    found = asyncio.run(session.value(code))
    if uid is not None:
        users.release_uid(uid)
    return found


@pytest.mark.parametrize("name", sorted(_NUMBERS))
def test_a_denied_call_is_not_permitted(refusals: dict[str, Any], name: str) -> None:
    assert refusals[name] == "EPERM"


FAMILIES = {
    "UNIX": 1,
    "INET": 2,
    "INET6": 10,
    "PACKET": 17,
    "ALG": 38,
    "VSOCK": 40,
    "TIPC": 30,
    "BLUETOOTH": 31,
    "QIPCRTR": 42,
    "XDP": 44,
    "CAN": 29,
}


@pytest.mark.parametrize("family", FAMILIES)
async def test_only_local_and_internet_sockets_open(session: Session, family: str) -> None:
    expected = "open" if family in ("UNIX", "INET", "INET6") else "EPERM"
    assert (
        await session.value(
            f"found = call({_SOCKET}, {FAMILIES[family]}, 1, 0)\nresult = 'open' if isinstance(found, int) else found"
        )
        == expected
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((40 | 1 << 32, 1, 0), "EPERM"),
        ((16, 3, 0), "open"),
        ((16, 3, 9), "EPERM"),
        ((16, 3, 15), "EPERM"),
        ((16, 3, 15 | 1 << 32), "EPERM"),
        ((2, 1, 132), "EPERM"),
        ((2, 5, 0), "EPERM"),
        ((2, 6, 33), "EPERM"),
        ((2, 2 | 0o2000000, 17), "open"),
        ((2, 3, 1), "EPERM"),
    ],
    ids=str,
)
async def test_families_protocols_and_types_are_checked_in_their_low_bits(
    session: Session, arguments: tuple[int, ...], expected: str
) -> None:
    code = f"found = call({_SOCKET}, *{arguments})\nresult = 'open' if isinstance(found, int) else found"
    assert await session.value(code) == expected


async def test_socketpairs_are_checked_too(session: Session) -> None:
    code = (
        "room = (ctypes.c_int * 2)()\n"
        f"result = [call({_SOCKETPAIR}, 30, 1, 0, ctypes.addressof(room)), call({_SOCKETPAIR}, 1, 1, 0, ctypes.addressof(room))]"
    )
    assert await session.value(code) == ["EPERM", 0]


@pytest.mark.parametrize("flag", [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000])
async def test_clone_makes_no_namespace(session: Session, flag: int) -> None:
    assert await session.value(f"result = call({_CLONE}, {flag} | 17, 0, 0, 0, 0)") == "EPERM"


async def test_clone3_does_not_exist_so_that_programs_fall_back(session: Session) -> None:
    assert await session.value("result = call(435, 0, 0)") == "ENOSYS"


async def test_calls_of_a_later_kernel_do_not_exist(session: Session) -> None:
    assert await session.value("result = [call(n, -1, -1, -1) for n in (471, 500, 511, 547, 4000)]") == ["ENOSYS"] * 5


@pytest.mark.parametrize("request_", [0x5412, 0x541C, 0x5423, 0x5412 | 1 << 32, 0x5412 | 1 << 63])
async def test_nothing_is_typed_into_a_terminal(session: Session, request_: int) -> None:
    value = struct.unpack("q", struct.pack("Q", request_))[0]
    assert await session.value(f"a, b = os.openpty()\nresult = call({_IOCTL}, b, {value}, 0)") == "EPERM"


async def _status_of_child(session: Session, body: str) -> int:
    code = (
        "import mmap\n"
        "def machine_code(data):\n"
        "    room = mmap.mmap(-1, 4096, prot=7); room.write(data)\n"
        "    return ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(room)))()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        f"    {body}\n"
        "    os._exit(0)\n"
        "result = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])"
    )
    return await session.value(code)


@only_x86
async def test_a_32_bit_call_kills_the_process(session: Session) -> None:
    # mov eax, 20 (getpid); int 0x80; ret
    assert await _status_of_child(session, r"machine_code(b'\xb8\x14\x00\x00\x00\xcd\x80\xc3')") == -signal.SIGSYS


@only_x86
async def test_an_x32_call_kills_the_process(session: Session) -> None:
    assert await _status_of_child(session, "call(0x40000000 | 39)") == -signal.SIGSYS


async def test_threads_processes_and_their_queues_work(session: Session) -> None:
    code = (
        "import multiprocessing, subprocess, threading\n"
        "thread = threading.Thread(target=lambda: None); thread.start(); thread.join()\n"
        "context = multiprocessing.get_context('fork')\n"
        "with context.Pool(2) as pool:\n"
        "    result = [pool.map(abs, [-1, -2]), subprocess.check_output(['/bin/echo', 'x'], text=True)]\n"
        "lock = context.Lock(); lock.acquire(); lock.release()"
    )
    assert await session.value(code) == [[1, 2], "x\n"]


async def test_process_one_has_the_same_filter_and_no_privilege(session: Session) -> None:
    sandbox = await session.start("/bin/sleep", "1000")
    deadline, fields = time.monotonic() + 10, dict[str, str]()
    # bwrap filters its own process 1 when the command is on its way already.
    while fields.get("Seccomp", "0").strip() == "0" and time.monotonic() < deadline:
        status = Path(f"/proc/{sandbox._processes.init}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        await asyncio.sleep(0.01)
    await sandbox.stop()
    assert {fields[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (fields["Seccomp"].strip(), fields["NoNewPrivs"].strip()) == ("2", "1")
    assert set(fields["Uid"].split()) == {str(session.host_uid)}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_jump_stays_inside_the_program_and_every_path_returns(machine: str) -> None:
    program = [
        struct.unpack("=HBBI", seccomp.program(machine)[i : i + 8]) for i in range(0, len(seccomp.program(machine)), 8)
    ]
    for place, (code, true, false, _) in enumerate(program):
        if code in (0x15, 0x35, 0x45):
            assert place + 1 + max(true, false) < len(program)
    assert program[-1][0] == 0x06
    assert len(program) < 4096


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_numbers_are_those_of_the_kernel_headers(machine: str) -> None:
    header = Path(
        "/usr/include", *(("x86_64-linux-gnu/asm/unistd_64.h",) if machine == "x86_64" else ("asm-generic/unistd.h",))
    )
    if not header.exists():
        pytest.skip(f"no kernel header {header} here")
    found: dict[str, int] = {}
    for line in header.read_text().splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "#define" and words[2].isdigit():
            found[words[1].replace("__NR3264_", "").replace("__NR_", "")] = int(words[2])
    column = 0 if machine == "x86_64" else 1
    assert {n: v[column] for n, v in seccomp.DENIED.items() if n in found} == {
        n: found[n] for n in seccomp.DENIED if n in found
    }


def test_other_machines_are_known_to_be_unsupported() -> None:
    assert seccomp.supported("x86_64") and seccomp.supported("aarch64")
    assert not seccomp.supported("riscv64")
