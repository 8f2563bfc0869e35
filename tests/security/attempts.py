"""The attempts, as data. Numbers are those of the threat list that the sandbox was designed against; from 101 on they are ours.

Each is a cell of hostile code whose ``result`` must match ``expected``, or a ``scenario``: a function of tests/security/scenarios that
acts inside and outside. ``engines`` names those for which it makes sense, and `Attempt.where` gives what another engine answers.
"""

# Cells are one string each.
# ruff: noqa: E501

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .arena import DIED

BUBBLEWRAP, DOCKER, GVISOR = "bubblewrap", "docker", "gvisor"
EVERYWHERE = frozenset({BUBBLEWRAP, DOCKER, GVISOR})
# A flood of messages ends at the supervisor, whichever kernel it came through; through gVisor's it only takes minutes.
NOT_SLOW = EVERYWHERE - {GVISOR}
# No code inside has a part in it.
OUTSIDE = frozenset({BUBBLEWRAP})
_REFUSED = "EPERM|EACCES|EROFS|ENOENT|ENOSYS|EINVAL|ENOSPC|EAFNOSUPPORT|EPROTONOSUPPORT|ENOTDIR|ENXIO|EINTR|ENODEV|ESOCKTNOSUPPORT"


@dataclass(frozen=True)
class Attempt:
    """``expected`` is a pattern that must match the whole text of ``result``."""

    number: int
    name: str
    code: str = ""
    expected: str = _REFUSED
    scenario: str = ""
    engines: frozenset[str] = EVERYWHERE
    where: Mapping[str, str] = field(default_factory=dict)

    def pattern(self, engine: str) -> str:
        return self.where.get(engine, self.expected)

    @property
    def id(self) -> str:
        return f"{self.number:03}-" + re.sub(r"\W+", "-", self.name)


def cell(number: int, name: str, code: str, expected: str = _REFUSED, **more: object) -> Attempt:
    return Attempt(number, name, code, expected, **more)  # type: ignore[arg-type]


def scenario(number: int, name: str, function: str = "", **more: object) -> Attempt:
    return Attempt(number, name, scenario=function or name.replace(" ", "_").replace(",", ""), **more)  # type: ignore[arg-type]


_X86 = "if platform.machine() != 'x86_64':\n    result = 'EPERM'\nelse:\n    "
_NUMBERS = "n = dict(keyctl=250, add_key=248, request_key=249, bpf=321, perf=298, userfaultfd=323, io_uring=425, kcmp=312, handle=304)\n"

HOST = [
    cell(1, "the host's shadow file by process 1", "result = open('/proc/1/root/etc/shadow').read()"),
    cell(1, "the host's shadow file by own root", "result = refused(lambda: open('/proc/self/root/../../../../etc/shadow').read())"),
    cell(1, "working folders of processes stay inside",
         "result = sorted({refused(lambda p=p: os.readlink(p)).partition('/')[0] for p in glob.glob('/proc/[0-9]*/cwd')}"
         " - {'', 'EACCES', 'ENOENT'})", r"\[\]"),
    scenario(2, "the canary is nowhere inside"),
    # The mount table names the folders that are shown as the machine does: docs/security.md says so.
    cell(3, "no name of the machine in process 1",
         "text = ''.join(refused(lambda p=p: open(p).read()) for p in ('/proc/1/cmdline', '/proc/1/environ', '/proc/self/cgroup',"
         " '/proc/self/maps', '/proc/self/environ', '/proc/self/cmdline'))\nresult = re.findall('sessions/|arena|/home/(?!user)|/root/|SESSION|[.]session', text)",
         r"\[\]"),
    cell(4, "core pattern", "result = open('/proc/sys/kernel/core_pattern', 'w')"),
    cell(4, "drop caches", "result = open('/proc/sys/vm/drop_caches', 'w')"),
    cell(4, "nothing under /proc/sys can be opened for writing",
         "result = 0\n"
         "for folder, _, names in os.walk('/proc/sys'):\n"
         "    for name in names:\n"
         "        result += refused(lambda: os.close(os.open(os.path.join(folder, name), os.O_WRONLY))) == 'None'", "0",
         where={GVISOR: r"\d+"}),
    scenario(5, "the kernel's uid is neither root's nor the gateway's", "host_uid"),
    *(cell(6, f"socket family {number}", f"result = socket.socket({number}, {kind})")
      for number, kind in ((40, 1), (38, 5), (17, 3), (31, 3), (29, 3), (30, 1))),
    cell(6, "netlink to the kernel's audit and crypto", "result = [refused(lambda p=p: socket.socket(16, 3, p)) for p in (9, 21, 4)]",
         rf"\['({_REFUSED})', '({_REFUSED})', '({_REFUSED})'\]"),
    cell(7, "a socket family with high bits", _X86 + "result = call(41, 0x100000028, 1, 0)"),
    cell(7, "a 32-bit system call ends its process alone",
         _X86 + "code = 'import ctypes, mmap; m = mmap.mmap(-1, 4096, prot=7); m.write(bytes.fromhex(\"b814000000cd80c3\"));'"
         " 'ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()'\n"
         "    result = 'EPERM' if subprocess.run([sys.executable, '-c', code]).returncode < 0 else 'it lived'", "EPERM",
         where={GVISOR: "EPERM|it lived"}),
    cell(8, "keyrings, BPF, perf, userfaultfd, io_uring, kcmp, handles",
         _X86 + _NUMBERS.replace("\n", "\n    ") + "result = 'EPERM' if all(call(k, 0, 0, 0, 0, 0) in ('EPERM', 'ENOSYS', 'EACCES')"
         " for k in n.values()) else {k: call(v, 0, 0, 0, 0, 0) for k, v in n.items()}", "EPERM", where={GVISOR: ".*"}),
    cell(9, "new namespaces by unshare", _X86 + "result = call(272, 0x10000000)", engines=EVERYWHERE - {GVISOR}),
    cell(9, "new namespaces by clone", _X86 + "result = call(56, 0x10000011, 0, 0, 0, 0)", engines=EVERYWHERE - {GVISOR}),
    cell(9, "new namespaces by the program", "result = subprocess.run(['unshare', '-Urm', 'true'], capture_output=True).returncode",
         "[1-9].*", engines=EVERYWHERE - {GVISOR}),
    cell(9, "clone3", _X86 + "result = call(435, 0, 0)", "ENOSYS|EPERM|EINVAL"),
    cell(10, "mounts", _X86 + "result = refused(lambda: call(165, 0, 0, 0, 0, 0))", "EPERM|EFAULT|EINVAL", where={BUBBLEWRAP: "EPERM"}),
    cell(10, "a file system of one's own", _X86 + "result = call(430, 0, 0)", "EPERM|ENOSYS|EFAULT", where={BUBBLEWRAP: "EPERM"}),
    cell(10, "another root by chroot", "result = os.chroot('/tmp')"),
    cell(10, "another root by pivot_root and setns", _X86 + "result = [call(155, 0, 0), call(308, 0, 0)]",
         r"EPERM|\['(EPERM|ENOSYS|EFAULT)', '(EPERM|ENOSYS|EBADF|EINVAL|ENOTSUP)'\]"),
    cell(11, "tracing", _X86 + "result = [call(101, 16, 1), call(310, 1, 0, 0, 0, 0, 0)]", r"EPERM|\['(EPERM|ESRCH|EIO)', '(EPERM|ESRCH|ENOSYS)'\]"),
    cell(11, "memory of process 1", "fd = os.open('/proc/1/mem', os.O_RDWR)\nresult = refused(lambda: os.pread(fd, 8, 0))", _REFUSED + "|EIO"),
    cell(12, "process 1 cannot be ended", "os.kill(1, 9)\nresult = refused(lambda: os.kill(1, 0))", "None|EPERM",
         # gVisor protects it from nobody of its own user: the sandbox ends, which is told, and the session goes on in another.
         where={GVISOR: DIED}),
    scenario(12, "a kernel that kills everything it can is a death that is told", "kill_everything"),
    cell(13, "block device nodes", "os.mknod('/workspace/n', 0o60666, os.makedev(254, 0))"),
    cell(13, "character device nodes", "os.mknod('/tmp/n', 0o20666, os.makedev(1, 1))\nresult = open('/tmp/n', 'rb')"),
    # gVisor has some of these itself: devices of its own kernel, which without capabilities do nothing.
    *(cell(13, f"the device {name}", f"result = open('/dev/{name}', 'rb')",
           where={GVISOR: f"{_REFUSED}|<_io.BufferedReader.*"} if name in ("fuse", "net/tun") else {})
      for name in ("mem", "vda", "sda", "fuse", "kvm", "loop0", "loop-control", "kmsg", "net/tun", "vsock", "vhost-vsock", "mapper/control")),
    cell(14, "a setuid copy of id gives nothing",
         "open('s.py', 'w').write('#!/bin/sh\\nid -u'); os.chmod('s.py', 0o6755)\n"
         "result = subprocess.run(['./s.py'], capture_output=True, text=True).stdout.strip() != '0' and refused(lambda: os.setuid(0))", "EPERM|EINVAL"),
    cell(14, "su", "result = subprocess.run(['su', '-c', 'id'], capture_output=True, stdin=-3).returncode", "[1-9].*",
         engines=frozenset({BUBBLEWRAP})),
    cell(14, "capabilities", "result = {l.split()[1] for l in open('/proc/self/status') if l.startswith('Cap')}", r"\{'0{16}'\}"),
    cell(14, "no new privileges", "result = [l.split()[1] for l in open('/proc/self/status') if l.startswith('NoNewPrivs')]", r"\['1'\]",
         engines=EVERYWHERE - {GVISOR}),
    cell(14, "a new user mapping", "os.write(os.open('/proc/self/uid_map', os.O_WRONLY), b'0 0 1')", engines=EVERYWHERE - {GVISOR}),
    cell(15, "typing into a terminal", "result = fcntl.ioctl(0, termios.TIOCSTI, b'x')", _REFUSED + "|ENOTTY"),
    cell(15, "the terminal of the gateway", "result = open('/dev/tty')", _REFUSED + "|EIO"),
    *(cell(16, f"writing to {path}", f"result = open('{path}', 'w')") for path in
      ("/etc/x", "/usr/x", "/x", "/usr/bin/python3", "/etc/passwd", "/image/x", "/outputs/x", "/dev/x", "/home/x", "/etc/ld.so.preload")),
    cell(17, "no core file", "result = resource.getrlimit(resource.RLIMIT_CORE)", r"\[0, 0\]"),
    scenario(17, "a crash leaves nothing in the workspace", "crash_leaves_no_core"),
    cell(18, "/sys", "result = refused(lambda: open('/sys/kernel/uevent_helper', 'w'))"),
    # Docker covers a file by /dev/null, which can be opened: as empty as it is refused elsewhere.
    *(cell(18, f"/proc/{name}", f"result = open('/proc/{name}', 'rb').read(64)", where={DOCKER: f"{_REFUSED}|b''"})
      for name in ("kcore", "kmsg")),
    cell(18, "sysrq", "result = open('/proc/sysrq-trigger', 'w')"),
    cell(18, "addresses of the machine's kernel",
         "result = refused(lambda: {l.split()[0] for l in open('/proc/kallsyms')} - {'0' * 16})", _REFUSED + r"|set\(\)"),
    scenario(19, "abstract sockets", "abstract_sockets"),
    cell(19, "sockets of daemons are not there",
         "result = [p for p in ('/var/run/docker.sock', '/run/docker.sock', '/run/dbus/system_bus_socket', '/tmp/.X11-unix', '/run/user',"
         " '/run/containerd/containerd.sock', '/run/podman/podman.sock', '/run/systemd/private', '/run/cell-gateway') if os.path.exists(p)]", r"\[\]"),
    cell(19, "no agent in the environment",
         "result = [k for k in os.environ if re.search('SSH|DBUS|DISPLAY|TOKEN|KEY|SECRET|PASS|CELL_GATEWAY|ANTHROPIC', k)]", r"\[\]"),
    scenario(20, "shared memory of another session", "shared_memory"),
]  # fmt: skip

RESOURCES = [
    scenario(21, "a fork bomb", "fork_bomb"),
    scenario(22, "a memory bomb", "memory_bomb"),
    scenario(23, "temporary folders fill with an error", "full_temporary_folders"),
    scenario(24, "a disk bomb", "disk_bomb"),
    scenario(25, "nested folders", "nested_folders"),
    cell(26, "open files end at the limit",
         "held = []\ndef fill():\n    while True:\n        held.append(os.open('/dev/null', os.O_RDONLY))\n"
         "result = refused(fill), len(held) < 5000\nfor fd in held:\n    os.close(fd)", r"\['EMFILE', True\]"),
    cell(26, "watches end at the limit",
         "held = []\ndef fill():\n    while len(held) < 100000:\n        fd = libc.inotify_init1(0)\n        if fd < 0:\n"
         "            raise OSError(ctypes.get_errno(), 'x')\n        held.append(fd)\n"
         "result = refused(fill)\nfor fd in held:\n    os.close(fd)", "EMFILE|ENFILE"),
    cell(26, "threads end at the limit",
         "stop = threading.Event()\nheld = []\ndef fill():\n    while len(held) < 10000:\n        t = threading.Thread(target=stop.wait)\n"
         "        t.start()\n        held.append(t)\nresult = refused(fill)\nstop.set()\nfor t in held:\n    t.join()", "RuntimeError",
         # A thread of gVisor's that waits is none of the machine's, whose own are limited; memory limits how many there are.
         where={GVISOR: f"None|RuntimeError|MemoryError|{DIED}"}),
    scenario(27, "20 busy threads that ignore interrupts", "busy_threads"),
    scenario(28, "processes that leave their session", "runaways"),
    # gVisor's priorities are numbers that its own kernel keeps.
    cell(29, "a better priority", "os.nice(-10)", where={GVISOR: "None"}),
    cell(29, "real time", "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))", engines=EVERYWHERE - {GVISOR}),
    cell(29, "out of reach of the out-of-memory killer", "f = open('/proc/self/oom_score_adj', 'w')\nf.write('-1000')\nf.close()",
         where={GVISOR: ".*"}),
]  # fmt: skip

MESSAGES = [
    scenario(30, "a forged idle", "forged_idle"),
    scenario(31, "foreign and false parents", "foreign_parents"),
    scenario(31, "wrong signatures", "wrong_signatures"),
    scenario(32, "forged replies", "forged_replies"),
    scenario(32, "odd values", "odd_values", engines=NOT_SLOW),
    scenario(32, "deep JSON and lone surrogates", "deep_json", engines=NOT_SLOW),
    scenario(33, "a display of 200 MB", "giant_display"),
    scenario(33, "a reply of 200 MB", "giant_reply", engines=NOT_SLOW),
    scenario(33, "endless frames", "endless_frames", engines=NOT_SLOW),
    scenario(33, "many prints", "many_prints", engines=NOT_SLOW),
    scenario(33, "many displays", "many_displays", engines=NOT_SLOW),
    scenario(33, "many updates of one display", "many_updates", engines=NOT_SLOW),
    scenario(33, "displays that nobody reads", "slow_front_end", engines=NOT_SLOW),
    scenario(34, "forged questions", "forged_questions"),
    scenario(34, "floods of comms", "comm_flood", engines=NOT_SLOW),
    scenario(35, "a connection file rewritten", "rewritten_connection_file"),
    scenario(35, "links at the sockets' names before they are connected", "planted_links"),
    scenario(36, "all sockets removed", "removed_sockets"),
    scenario(36, "a kernel that stops itself", "stopped_kernel"),
    scenario(36, "a kernel that kills itself", "killed_kernel"),
    scenario(36, "garbage in place of the protocol", "garbage"),
]  # fmt: skip

FILES = [
    scenario(37, "links in the workspace", "links"),
    scenario(38, "a folder that is by turns a link", "link_race"),
    scenario(39, "fifos, sockets, unreadable and growing files", "odd_files"),
    scenario(40, "odd names", "odd_names"),
    scenario(41, "archives are never unpacked outside", "archives"),
    cell(42, "hard links across mounts", "os.link('/outputs', '/workspace/l')", "EXDEV|EPERM|EACCES|EROFS"),
    cell(42, "hard links to the image", "os.link('/image/python/bin/python3', '/workspace/l')", "EXDEV|EPERM|EACCES|EROFS"),
    cell(42, "hard links to the sockets", "os.link('/run/kernel/k-1', '/workspace/l')", "EXDEV|EPERM|EACCES|EROFS"),
]  # fmt: skip

SHOWN = [
    scenario(43, "picture bombs", "picture_bombs", engines=OUTSIDE),
    scenario(44, "scripts in HTML and SVG", "scripts_in_outputs", engines=OUTSIDE),
    scenario(45, "escapes for the terminal", "terminal_escapes", engines=OUTSIDE),
    scenario(46, "markdown that phones home", "markdown_phones_home", engines=OUTSIDE),
    scenario(47, "a notebook that claims another policy", "notebook_is_data"),
]

NETWORK = [
    cell(48, "loopback alone", "result = [n for _, n in socket.if_nameindex()]", r"\['lo'\]"),
    scenario(48, "the machine's own loopback", "machine_loopback"),
    cell(48, "names resolve to nothing",
         "try:\n    result = socket.getaddrinfo('cell-gateway.invalid', 80)\nexcept socket.gaierror as error:\n    result = 'no name'", "no name"),
    cell(48, "a packet to a server of names", "s = socket.socket(2, 2)\ns.sendto(b'x', ('192.0.2.1', 53))\nresult = 'sent'", "ENETUNREACH|EHOSTUNREACH|EPERM"),
    cell(48, "a connection to anywhere", "socket.create_connection(('192.0.2.1', 443), 5)", "ENETUNREACH|EHOSTUNREACH|EPERM"),
    scenario(49, "hosts that the proxy must refuse", "proxy_refuses"),
    scenario(50, "a second request on an allowed connection", "proxy_smuggling"),
    scenario(51, "names that resolve to the machine", "proxy_refuses_own_addresses"),
    scenario(52, "another session's way out", "other_sessions_socket"),
]  # fmt: skip

OURS = [
    scenario(101, "sockets in mounted folders", "mounted_sockets"),
    cell(103, "the image's program behind the own process", "result = open('/proc/self/exe', 'r+b')", "EROFS|EACCES|ETXTBSY|EPERM"),
    cell(105, "files of other sessions under /tmp and /run", "result = os.listdir('/tmp') + sorted(set(os.listdir('/run')) - {'kernel', 'egress'})",
         r"\[.*\]"),
    scenario(106, "a start file in the layer that attacks the next kernel", "hostile_layer"),
    scenario(107, "queues towards a front end that stands still", "stopped_front_end", engines=NOT_SLOW),
    scenario(108, "a notebook that asks for engine, network, mounts, limits and files", "hostile_notebook"),
    scenario(109, "a folder that says it is a session", "sent_session"),
    scenario(110, "zips with links, climbing names and depths", "hostile_zips", engines=OUTSIDE),
    scenario(111, "outputs that attack the comparer", "hostile_comparisons"),
    scenario(112, "more questions than a person can answer", "questions_flood"),
    scenario(114, "a layer emptied, with links in its place", "emptied_layer"),
    scenario(113, "names of hosts with odd characters", "odd_hosts"),
]  # fmt: skip

ATTEMPTS: tuple[Attempt, ...] = (*HOST, *RESOURCES, *MESSAGES, *FILES, *SHOWN, *NETWORK, *OURS)
