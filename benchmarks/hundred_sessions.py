"""``python -m benchmarks.hundred_sessions [--sessions N] [--running N] [--minutes M] [--json]``

Many sessions with a websocket each, cells running in some of them all the time, and the server ended twice meanwhile: by SIGTERM after
a third of the time, by SIGKILL after two. Then every output is looked for in the journals. Exit code 1 when anything was lost, came
twice, or was not attached to again.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import shutil
import signal
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from kernel_gateway.errors import GatewayError
from kernel_gateway.image.store import ImageStore
from kernel_gateway.journal import BlobStore, internalize, read
from kernel_gateway.session.folder import SessionFolder, SessionStore
from kernel_gateway.session.lifetime import stop_session

from . import machine
from .jupyter_clients import Client, Server
from .processes import descendants, memory

TICKS, TICK_SECONDS = 20, 0.25
_SAMPLE_SECONDS = 5.0
# Several at once, since starting is mostly waiting; not so many that the machine only switches between them.
_STARTING = 4


@dataclass
class Restart:
    how: str
    after: float
    exit: int
    # Seconds from the signal until the server answered, and until every websocket was open and its kernel had answered.
    answered: float
    attached: float
    kernels: int


@dataclass
class Life:
    """The memory (MB) that only one server process has, every few seconds."""

    memory: list[float] = field(default_factory=list[float])

    @property
    def settled(self) -> tuple[float, float]:
        """At its beginning, once it has settled, and at its end: medians of fifths."""
        fifth = max(1, len(self.memory) // 5)
        return statistics.median(self.memory[fifth : 2 * fifth] or self.memory), statistics.median(self.memory[-fifth:])


@dataclass
class Found:
    """What the journals hold of the cells that were sent."""

    cells: int = 0
    missing: int = 0
    repeated: int = 0
    not_ok: int = 0
    lines: int = 0
    lines_missing: int = 0
    lines_repeated: int = 0

    @property
    def is_whole(self) -> bool:
        return not (self.missing or self.repeated or self.not_ok or self.lines_missing or self.lines_repeated)


@dataclass
class Load:
    """The sessions, and what was sent to them."""

    server: Server
    clients: list[Client] = field(default_factory=list[Client])
    sent: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    restarts: list[Restart] = field(default_factory=list[Restart])
    lives: list[Life] = field(default_factory=lambda: [Life()])
    ran: int = 0

    async def begin(self, sessions: int) -> None:
        turn = asyncio.Semaphore(_STARTING)

        async def one() -> None:
            async with turn:
                made = await self.server.ask("POST", "/api/kernels")
                client = Client(self.server, made["id"])
                await client.attach()
                self.clients.append(client)

        await asyncio.gather(*(one() for _ in range(sessions)))

    async def work(self, number: int, running: int, until: float) -> None:
        """One cell after another, each in the next of its sessions."""
        mine = itertools.cycle(self.clients[number::running])
        for count in itertools.count():
            if monotonic() >= until:
                return
            client, tag = next(mine), f"{number}-{count}"
            self.sent.setdefault(client.kernel, []).append(tag)
            await client.run(_cell(tag))
            self.ran += 1

    async def watch(self) -> None:
        while True:
            # It may just be restarted.
            with suppress(OSError, ValueError):
                self.lives[-1].memory.append(memory(self.server.pid).private)
            await asyncio.sleep(_SAMPLE_SECONDS)

    async def restart(self, how: signal.Signals, began: float) -> None:
        at = monotonic()
        status = await self.server.end(how)
        await self.server.start()
        answered = monotonic() - at
        self.lives.append(Life())
        kernels = await self.server.ask("GET", "/api/kernels")
        await asyncio.gather(*(client.attach() for client in self.clients))
        known = {k["id"] for k in kernels} & {c.kernel for c in self.clients}
        self.restarts.append(Restart(how.name, at - began, status, answered, monotonic() - at, len(known)))


def _cell(tag: str) -> str:
    return f"# cell {tag}\nimport time\nfor i in range({TICKS}):\n    print('{tag}', i, flush=True)\n    time.sleep({TICK_SECONDS})"


def _lines(tag: str) -> list[str]:
    return [f"{tag} {i}" for i in range(TICKS)]


def look(folder: SessionFolder, sent: Sequence[str]) -> Found:
    """Against the journal of one session."""
    blobs, found = BlobStore(folder.blobs), Found()
    runs: dict[str, list[str]] = {}
    text: dict[str, str] = {}
    ended: dict[str, str] = {}
    for record in read(folder.journal).records:
        if record["kind"] == "start" and str(record["source"]).startswith("# cell "):
            runs.setdefault(record["source"].split()[2], []).append(record["run"])
        elif record["kind"] == "output":
            outputs: Any = internalize(record["outputs"], blobs)
            text[record["run"]] = text.get(record["run"], "") + "".join(o.get("text", "") for o in outputs)
        elif record["kind"] == "end":
            ended[record["run"]] = record["exit"]
    for tag in sent:
        mine = runs.get(tag, [])
        found.cells += 1
        found.missing += not mine
        found.repeated += len(mine) > 1
        found.not_ok += any(ended.get(run) != "ok" for run in mine)
        lines = Counter("".join(text.get(run, "") for run in mine).splitlines())
        found.lines += sum(lines.values())
        found.lines_missing += sum(lines[line] == 0 for line in _lines(tag))
        found.lines_repeated += sum(lines[line] > 1 for line in _lines(tag))
    return found


def look_at_all(store: SessionStore, sent: dict[str, list[str]]) -> Found:
    from kernel_gateway.server.bindings import kernel_id

    total = Found()
    folders = {kernel_id(folder): folder for folder in store}
    for kernel, tags in sent.items():
        for name, value in asdict(look(folders[kernel], tags)).items():
            setattr(total, name, getattr(total, name) + value)
    return total


@asynccontextmanager
async def serving() -> AsyncGenerator[Server]:
    """Whatever was started is stopped at the end, and the data are deleted."""
    folder = Path(tempfile.mkdtemp(prefix="cell-gateway-bench-"))
    server = Server(folder)
    try:
        await server.start()
        yield server
    finally:
        await server.end(signal.SIGTERM)
        store = list(SessionStore(server.data))
        for some in (store[i : i + 10] for i in range(0, len(store), 10)):
            await asyncio.gather(*(stop_session(session) for session in some))
        shutil.rmtree(folder)


async def measure(sessions: int, running: int, seconds: float) -> dict[str, Any]:
    began, before = monotonic(), machine.load()

    def say(text: str) -> None:
        print(f"{monotonic() - began:5.0f} s  {text}", file=sys.stderr, flush=True)

    image = ImageStore().ensure(progress=lambda step, fraction: say(f"image: {step} ({fraction:.0%})"))
    async with serving() as server:
        load = Load(server)
        await load.begin(sessions)
        started = monotonic()
        say(f"{sessions} sessions, each with a websocket; cells run in {running}")
        watching = asyncio.create_task(load.watch())
        until = started + seconds
        working = [asyncio.create_task(load.work(n, running, until)) for n in range(running)]
        for third, how in ((1, signal.SIGTERM), (2, signal.SIGKILL)):
            await asyncio.sleep(max(0.0, started + third * seconds / 3 - monotonic()))
            await load.restart(how, started)
            say(f"{how.name}: all were there again after {load.restarts[-1].attached:.1f} s; {load.ran} cells have run")
        await asyncio.gather(*working)
        watching.cancel()
        whole = _whole_memory(server.data)
        say("looking at the journals")
        found = await asyncio.to_thread(look_at_all, SessionStore(server.data), load.sent)
        await asyncio.gather(*(client.close() for client in load.clients))
        reconnects = sum(client.reconnects for client in load.clients)
    return {
        "sessions": sessions,
        "running": running,
        "seconds": round(seconds),
        "start_seconds": round(started - began, 1),
        "restarts": [asdict(r) for r in load.restarts],
        "reconnects": reconnects,
        "found": asdict(found),
        "server_memory": [
            {
                "first": life.settled[0],
                "last": life.settled[1],
                "highest": max(life.memory),
                "samples": len(life.memory),
            }
            for life in load.lives
            if life.memory
        ],
        "all_memory": whole,
        "ok": found.is_whole and all(r.kernels == sessions and r.exit in (0, -9) for r in load.restarts),
        "machine": machine.facts(image, {}, before),
    }


def _whole_memory(data: Path) -> dict[str, float]:
    """PSS in MB of all supervisors and of what runs in their sandboxes."""
    total = {"supervisors": 0.0, "sandboxes": 0.0}
    for entry in (e for e in Path("/proc").iterdir() if e.name.isdecimal()):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if "kernel_gateway.supervisor.main" in words and any(word.startswith(str(data)) for word in words):
                total["supervisors"] += memory(int(entry.name)).pss
                total["sandboxes"] += sum(memory(pid).pss for pid in descendants(int(entry.name)))
    return {kind: round(value) for kind, value in total.items()}


def as_text(result: dict[str, Any]) -> str:
    found = result["found"]
    rows = [
        ("sessions, each with a websocket", f"{result['sessions']}", f"started in {result['start_seconds']} s"),
        ("cells run", f"{found['cells']:,}", f"in {result['running']} sessions at a time, for {result['seconds']} s"),
        ("  not in a journal, twice, not ok", f"{found['missing']}, {found['repeated']}, {found['not_ok']}", ""),
        ("lines printed", f"{found['lines']:,}", ""),
        ("  missing, twice", f"{found['lines_missing']}, {found['lines_repeated']}", ""),
    ]
    for r in result["restarts"]:
        note = f"answered after {r['answered']:.1f} s, exit {r['exit']}; {r['kernels']} kernels known"
        rows.append((f"{r['how']}: all attached again (s)", f"{r['attached']:.1f}", note))
    for number, life in enumerate(result["server_memory"], 1):
        note = f"at its end {life['last']:.0f}, highest {life['highest']:.0f}"
        rows.append((f"memory of server {number} (MB, private)", f"{life['first']:.0f}", note))
    rows += [(f"memory of all {kind} (MB, PSS)", f"{value:,.0f}", "") for kind, value in result["all_memory"].items()]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    lines = [f"{a.ljust(widths[0])}  {b.rjust(widths[1])}  {c}".rstrip() for a, b, c in rows]
    facts = [f"{k}: {v}" for k, v in result["machine"].items() if v]
    return "\n".join([*lines, "", *facts])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hundred_sessions", description=__doc__)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--running", type=int, default=20, help="in how many of them a cell runs at any time")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    arguments = parser.parse_args()
    try:
        result = asyncio.run(measure(arguments.sessions, arguments.running, arguments.minutes * 60))
    except GatewayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(result, indent=1) if arguments.json else as_text(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
