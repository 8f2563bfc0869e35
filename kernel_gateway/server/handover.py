"""A server keeps its secrets where no other process reads them: neither in ``/proc/<pid>/environ`` nor in ``cmdline``.

Taking a variable out of `os.environ` is not enough: what the process was started with stays readable for all that run as the same
user, for as long as it lives. Only another `execve` replaces it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence

from ..errors import BadRequest

TOKEN = "JUPYTER_TOKEN"
SECRETS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", TOKEN)
_OPTION = "--token"
# "<pid>:<descriptor>": a pid, since a child that inherits the variable has nothing to read.
_MARK = "_CELL_GATEWAY_HANDOVER"


def hand_over(token: str | None = None) -> str | None:
    """Call it before anything slow in a command that serves, then `Context.take`; returns the server's token.

    ``token`` is what the command line or ``$JUPYTER_TOKEN`` gave. When a secret lies in the environment or on the command line this
    process replaces itself by the same command without them: pid, parent, terminal and descriptors stay. The second time it finds
    them in a pipe that it closes; the model's key is then in `os.environ`, which no other process sees, until `Context.take` takes it.

    Only for a process whose command line is ours. Raises BadRequest for a secret that is none, by its size.
    """
    if (given := _received()) is not None:
        given_token = given.pop(TOKEN, None)
        os.environ.update(given)
        return given_token if token is None else token
    secrets = {name: os.environ[name] for name in SECRETS if os.environ.get(name)}
    if token is not None:
        secrets[TOKEN] = token
    if not secrets:
        return token
    rest = {name: value for name, value in os.environ.items() if name not in SECRETS}
    mark = f"{os.getpid()}:{_piped(secrets)}"
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return os.execve(sys.executable, command_without_token(sys.orig_argv), {**rest, _MARK: mark})


def command_without_token(command: Sequence[str]) -> list[str]:
    """The same command of the same interpreter, less ``--token VALUE`` and ``--token=VALUE``."""
    kept: list[str] = [sys.executable]
    is_value = False
    for word in command[1:]:
        if not is_value and word != _OPTION and not word.startswith(f"{_OPTION}="):
            kept.append(word)
        is_value = word == _OPTION and not is_value
    return kept


def _piped(secrets: Mapping[str, str]) -> int:
    """The end to read of a pipe that holds them, for the process that follows."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    data = json.dumps(dict(secrets)).encode()
    try:
        is_whole = os.write(write_end, data) == len(data)
    except BlockingIOError:
        is_whole = False
    os.close(write_end)
    if not is_whole:
        raise BadRequest(f"A key or token of {len(data):,} bytes is none.", f"Look at {' and '.join(secrets)}.")
    os.set_inheritable(read_end, True)
    return read_end


def _received() -> dict[str, str] | None:
    pid, _, descriptor = os.environ.pop(_MARK, "").partition(":")
    if pid != str(os.getpid()):
        return None
    with os.fdopen(int(descriptor), "rb") as pipe:
        found: dict[str, str] = json.loads(pipe.read())
    return found
