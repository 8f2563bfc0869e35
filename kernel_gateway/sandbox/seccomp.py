"""The seccomp filter of a sandbox as a classic BPF program, built here so that no library of the system is needed.

Calls are allowed unless named: what is named either reaches kernel code that a kernel for notebooks never needs, or is not
confined by namespaces (AF_VSOCK leaves a virtual machine although there is no network). See seccomp(2) and
https://docs.kernel.org/userspace-api/seccomp_filter.html.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Sequence
from dataclasses import dataclass

Instruction = tuple[int, int, int, int]

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_OR_EQUAL, _JUMP_BITS, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_X32_BIT = 0x40000000

# Numbers above this one did not exist when the list below was written: ENOSYS, so that programs fall back to what is known.
_LAST_KNOWN_CALL = 470
CLONE_NEW_NAMESPACES = 0x7E020000
# TIOCSTI and TIOCLINUX type into a terminal; TIOCSETD loads line disciplines into the host's kernel.
DENIED_IOCTLS = (0x5412, 0x541C, 0x5423)
UNIX, INET, INET6, NETLINK = 1, 2, 10, 16
# Stream, datagram and raw (which needs a capability); any other type makes the kernel load SCTP or DCCP.
INTERNET_TYPES = (1, 2, 3)
# Default, ICMP, TCP, UDP, ICMPv6 and MPTCP.
INTERNET_PROTOCOLS = (0, 1, 6, 17, 58, 262)


@dataclass(frozen=True)
class Architecture:
    """One machine type: its audit number, and where its call numbers stand in the table."""

    audit: int
    column: int


_ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, 0),
    "amd64": Architecture(0xC000003E, 0),
    "aarch64": Architecture(0xC00000B7, 1),
    "arm64": Architecture(0xC00000B7, 1),
}

_SPECIAL = {"clone": (56, 220), "clone3": (435, 435), "ioctl": (16, 29), "socket": (41, 198), "socketpair": (53, 199)}

# Refused with EPERM: name → number on x86_64 and on aarch64; None where the machine has no such call.
DENIED: dict[str, tuple[int | None, int | None]] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "statmount": (457, 457),
    "listmount": (458, 458), "open_tree_attr": (467, 467),
    "setns": (308, 268), "unshare": (272, 97), "sethostname": (170, 161), "setdomainname": (171, 162),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "create_module": (174, None),
    "query_module": (178, None), "get_kernel_syms": (177, None),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "syslog": (103, 116), "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "ioperm": (173, None), "iopl": (172, None), "modify_ldt": (154, None), "personality": (135, 92),
    "vhangup": (153, 58), "fanotify_init": (300, 262), "fanotify_mark": (301, 263),
    "move_pages": (279, 239), "migrate_pages": (256, 238), "nfsservctl": (180, 42), "lookup_dcookie": (212, 18),
    "uselib": (134, None), "ustat": (136, None), "sysfs": (139, None), "_sysctl": (156, None), "vserver": (236, None),
}  # fmt: skip


def supported(machine: str | None = None) -> bool:
    """Whether a filter can be built for this machine type (``uname -m``)."""
    return (machine or platform.machine()).lower() in _ARCHITECTURES


def program(machine: str | None = None) -> bytes:
    """The filter as an array of ``struct sock_filter``, ready for ``bwrap --seccomp FD``.

    A call of a foreign architecture (``int 0x80``, x32) kills the process. Raises KeyError where `supported` is false.
    """
    architecture = _ARCHITECTURES[(machine or platform.machine()).lower()]
    column = architecture.column
    number = {name: numbers[column] for name, numbers in _SPECIAL.items()}
    instructions = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        *_when(_JUMP_GREATER_OR_EQUAL, _X32_BIT, [(_RETURN, 0, 0, _KILL_PROCESS)]),
        *_when(_JUMP_GREATER_OR_EQUAL, _LAST_KNOWN_CALL + 1, [_refuse(errno.ENOSYS)]),
        # The C library falls back to clone, whose flags a filter can read.
        *_when(_JUMP_EQUAL, number["clone3"], [_refuse(errno.ENOSYS)]),
        *_when(_JUMP_EQUAL, number["clone"], _clone()),
        *_when(_JUMP_EQUAL, number["ioctl"], _ioctl()),
        *_when(_JUMP_EQUAL, number["socket"], _socket()),
        *_when(_JUMP_EQUAL, number["socketpair"], _socket()),
    ]
    for numbers in DENIED.values():
        if (denied := numbers[column]) is not None:
            instructions += _when(_JUMP_EQUAL, denied, [_refuse(errno.EPERM)])
    instructions.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def _refuse(code: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | code)


def _when(comparison: int, value: int, block: Sequence[Instruction]) -> list[Instruction]:
    """``block`` if the accumulator compares so; it must end by returning when it changes the accumulator."""
    return [(comparison, 0, len(block), value), *block]


def _argument(index: int) -> Instruction:
    """The low 32 bits: all that the kernel reads of an ``int``, so bits set above them hide nothing."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index)


def _among(values: Sequence[int], otherwise: int) -> list[Instruction]:
    """Go on when the accumulator is one of ``values``, else fail with ``otherwise``."""
    last = len(values)
    return [*((_JUMP_EQUAL, last - i, 0, value) for i, value in enumerate(values)), _refuse(otherwise)]


def _clone() -> list[Instruction]:
    return [_argument(0), *_when(_JUMP_BITS, CLONE_NEW_NAMESPACES, [_refuse(errno.EPERM)]), (_RETURN, 0, 0, _ALLOW)]


def _ioctl() -> list[Instruction]:
    denied = [i for request in DENIED_IOCTLS for i in _when(_JUMP_EQUAL, request, [_refuse(errno.EPERM)])]
    return [_argument(1), *denied, (_RETURN, 0, 0, _ALLOW)]


def _socket() -> list[Instruction]:
    allow = (_RETURN, 0, 0, _ALLOW)
    netlink = [_argument(2), *_when(_JUMP_EQUAL, 0, [allow]), _refuse(errno.EPERM)]
    return [
        _argument(0),
        *_when(_JUMP_EQUAL, UNIX, [allow]),
        *_when(_JUMP_EQUAL, NETLINK, netlink),
        *_among((INET, INET6), errno.EPERM),
        _argument(1),
        (_AND, 0, 0, 0xF),
        *_among(INTERNET_TYPES, errno.EPERM),
        _argument(2),
        *_among(INTERNET_PROTOCOLS, errno.EPERM),
        allow,
    ]
