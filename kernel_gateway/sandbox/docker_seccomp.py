"""The filter of `seccomp` in the form that container engines take: JSON with calls by name, for libseccomp.

Here calls are refused unless named. A container engine skips the names that its libseccomp does not know, so a list of what is
denied would silently let new calls through.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from typing import Any

from . import seccomp

Argument = dict[str, Any]

_ARCHITECTURES = {
    "x86_64": "SCMP_ARCH_X86_64",
    "amd64": "SCMP_ARCH_X86_64",
    "aarch64": "SCMP_ARCH_AARCH64",
    "arm64": "SCMP_ARCH_AARCH64",
}
_LOW_BITS = 0xFFFFFFFF

# Every call up to `seccomp._LAST_KNOWN_CALL` of either machine type that is neither denied nor depends on its arguments.
ALLOWED: Sequence[str] = """
    accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_getres clock_gettime
    clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl
    epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64
    fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr file_getattr file_setattr flistxattr
    flock fork fremovexattr fsetxattr fstat fstatat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv
    futex_wake futimesat get_mempolicy get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid
    getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage
    getsid getsockname getsockopt gettid gettimeofday getuid getxattr getxattrat inotify_add_watch inotify_init inotify_init1
    inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioprio_get ioprio_set kill
    landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen listxattr listxattrat
    llistxattr lremovexattr lseek lsetxattr lsm_get_self_attr lsm_list_modules lsm_set_self_attr lstat madvise map_shadow_stack
    mbind membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect
    mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync
    munlock munlockall munmap nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc
    pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 process_madvise process_mrelease pselect6 pwrite64
    pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr
    removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
    rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity
    sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_mempolicy
    set_mempolicy_home_node set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid
    setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr setxattrat shmat shmctl shmdt
    shmget shutdown sigaltstack signalfd signalfd4 splice stat statfs statx symlink symlinkat sync sync_file_range
    sync_file_range2 syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
    timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat uretprobe utime utimensat
    utimes vfork vmsplice wait4 waitid write writev
""".split()


def profile(machine: str) -> str:
    """For ``SecurityOpt: ["seccomp=…"]``. Calls of a foreign architecture kill the process. Raises KeyError for an unsupported machine.

    Unnamed calls fail with EPERM; those that are newer than all named ones with ENOSYS where the engine's runc is 1.0 or newer.
    """
    rules = [
        _allow(ALLOWED),
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
        _allow(["clone"], _masked(0, seccomp.CLONE_NEW_NAMESPACES, 0)),
        *(_allow(["ioctl"], _masked(1, mask, value)) for mask, value in all_but(seccomp.DENIED_IOCTLS)),
        *(_allow(["socket", "socketpair"], *arguments) for arguments in _sockets()),
    ]
    values = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.EPERM,
        "architectures": [_ARCHITECTURES[machine]],
        "syscalls": rules,
    }
    return json.dumps(values, separators=(",", ":"))


def all_but(refused: Sequence[int]) -> list[tuple[int, int]]:
    """(mask, value) pairs that together match every 32-bit number but ``refused``; libseccomp can only join rules by "or".

    Each pair is a shortest beginning, in bits, that no refused number has.
    """
    found: set[tuple[int, int]] = set()
    for number in refused:
        for bit in range(32):
            mask = _LOW_BITS & ~((1 << bit) - 1)
            value = (number ^ (1 << bit)) & mask
            if all(other & mask != value for other in refused):
                found.add((mask, value))
    return sorted(found)


def _sockets() -> list[list[Argument]]:
    local = [[_low(0, seccomp.UNIX)], [_low(0, seccomp.NETLINK), _low(2, 0)]]
    internet = [
        [_low(0, family), _masked(1, 0xF, kind), _low(2, protocol)]
        for family in (seccomp.INET, seccomp.INET6)
        for kind in seccomp.INTERNET_TYPES
        for protocol in seccomp.INTERNET_PROTOCOLS
    ]
    return local + internet


def _allow(names: Sequence[str], *arguments: Argument) -> dict[str, Any]:
    return {"names": list(names), "action": "SCMP_ACT_ALLOW", "args": list(arguments)}


def _low(index: int, value: int) -> Argument:
    """The low 32 bits are all that the kernel reads of an ``int``."""
    return _masked(index, _LOW_BITS, value)


def _masked(index: int, mask: int, value: int) -> Argument:
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
