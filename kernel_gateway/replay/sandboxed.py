"""Comparing in a sandbox that is thrown away: nothing that a cell made is decoded out here."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from ..sandbox.engine import Engine
from ..sandbox.oneshot import OneshotFailed, run_once
from ..sandbox.users import UidRegistry
from ..session.policy import GB, Policy
from .compare import cells
from .compare.files import digest
from .compare.model import Cell, CellVerdict, Options, Part, Reference
from .compare.wire import Malformed, Pair, Request, pack, part_from_json

# A larger file is compared by its hash.
FILE_BYTES = 64 * 1024**2
TOTAL_SECONDS, ITEM_SECONDS = 300.0, 40.0
_START_SECONDS = 20.0
_OUTPUT_BYTES = 64 * 1024**2
_POLICY = Policy(memory=3 * GB, processes=32, cpus=1.0, disk=GB)

# The package lies in front of the request; imported as it is, as ``compare``.
_BOOT = """
import sys, tempfile
size = int.from_bytes(sys.stdin.buffer.read(8), "big")
with tempfile.NamedTemporaryFile(suffix=".zip") as package:
    package.write(sys.stdin.buffer.read(size))
    package.flush()
    sys.path.insert(0, package.name)
    from compare.inside import main
    main(sys.stdin.buffer)
"""


async def compare_in_sandbox(
    engine: Engine,
    image: Path,
    pairs: Sequence[Pair],
    options: Options | None = None,
    *,
    timeout: float = TOTAL_SECONDS,
    item_timeout: float = ITEM_SECONDS,
    policy: Policy = _POLICY,
    registry: UidRegistry | None = None,
) -> list[CellVerdict]:
    """A verdict for each pair, in order, by one sandbox of the image at ``image``.

    What crashes the comparing program, or takes more than ``item_timeout`` seconds or its memory, is a part with the verdict `error`,
    "could not be compared: …", and the rest is compared; so is all that is left after ``timeout``. Raises EngineUnavailable.
    """
    request = Request([_sent(p) for p in pairs], options or Options(), timeout, item_timeout)
    package = _package()
    stdin = b"".join([len(package).to_bytes(8, "big"), package, pack(request)])
    try:
        limit = timeout + _START_SECONDS
        answer = await run_once(
            engine, image, _BOOT, stdin, timeout=limit, policy=policy, output_limit=_OUTPUT_BYTES, registry=registry
        )
        parts, why = _parts(answer, len(pairs)), "the comparing program did not get to it"
    except OneshotFailed as error:
        parts, why = [[] for _ in pairs], error.message.strip().splitlines()[-1]
    return [_verdict(pair, found, why) for pair, found in zip(pairs, parts, strict=True)]


@cache
def _package() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for module in files(f"{__package__}.compare").iterdir():
            if module.name.endswith(".py"):
                archive.writestr(f"compare/{module.name}", module.read_text(encoding="utf-8"))
    return buffer.getvalue()


def _sent(pair: Pair) -> Pair:
    """The pair with only those bytes that must be read to be compared."""
    every = [c for c in (pair.recorded, pair.again, pair.second) if c is not None]
    hashes: dict[str, set[str]] = {}
    for cell in every:
        for path, content in cell.files.items():
            hashes.setdefault(path, set()).add(digest(content))

    def light(cell: Cell) -> Cell:
        return replace(cell, files={p: _light(c, len(hashes[p]) == 1) for p, c in cell.files.items()})

    return Pair(light(pair.recorded), light(pair.again), None if pair.second is None else light(pair.second))


def _light(content: bytes | Reference, is_equal: bool) -> bytes | Reference:
    if isinstance(content, Reference) or (not is_equal and len(content) <= FILE_BYTES):
        return content
    return Reference(digest(content), len(content))


def _parts(answer: bytes, count: int) -> list[list[Part]]:
    """Parts by pair. A line that the comparer would not write is a part that could not be compared."""
    parts: list[list[Part]] = [[] for _ in range(count)]
    for line in answer.splitlines():
        try:
            message: Any = json.loads(line)
            number: Any = cast("dict[str, Any]", message).get("pair") if isinstance(message, dict) else None
            if isinstance(number, int) and 0 <= number < count:
                parts[number].append(part_from_json(message.get("part")))
        except (json.JSONDecodeError, RecursionError, Malformed) as error:
            # Whichever pair it is about: that one lacks a part, and its cell must not pass for compared.
            for found in parts:
                found.append(_unknown(f"an answer that cannot be read: {error}"))
    return parts


def _unknown(why: str) -> Part:
    return Part("the cell", "cell", "error", f"could not be compared: {why}")


def _verdict(pair: Pair, parts: list[Part], why: str) -> CellVerdict:
    """A cell of which nothing was compared is no cell that is the same."""
    is_empty = pair.recorded.exit is None and pair.again.exit is None
    return cells.cell_verdict(pair.recorded, pair.again, parts or ([] if is_empty else [_unknown(why)]))
