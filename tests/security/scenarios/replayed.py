"""Notebooks and folders that somebody sent, in the hands of `verify`, `rerun` and `open`; outputs that attack the comparer."""

# Cells are one string each.
# ruff: noqa: E501

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from kernel_gateway.cli.replaying import plan
from kernel_gateway.config import load_settings
from kernel_gateway.errors import GatewayError
from kernel_gateway.replay.compare.model import Cell
from kernel_gateway.replay.compare.wire import Pair
from kernel_gateway.replay.sandboxed import compare_in_sandbox
from kernel_gateway.replay.share import unpack
from kernel_gateway.replay.source import read_recording
from kernel_gateway.sandbox.engines import make_engine
from kernel_gateway.session.folder import SessionStore
from kernel_gateway.session.policy import Policy

from ..arena import Arena
from .files import cli
from .shown import bomb

__all__ = ["hostile_comparisons", "hostile_notebook", "hostile_zips", "sent_session"]

SECRET = "the-key-beside-the-notebook"


def code(source: str) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": 1}


def notebook(*cells: dict[str, Any], **ours: Any) -> str:
    metadata = {"kernel_gateway": {"schema": 1, **ours}} if ours else {}
    return json.dumps({"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 4})


@contextmanager
def sent(arena: Arena) -> Generator[Path]:
    """A folder in which a download lies, and beside it what a person has there."""
    with tempfile.TemporaryDirectory(dir=arena.data) as name:
        folder = Path(name)
        (folder / ".netrc").write_text(SECRET)
        (folder / ".config").mkdir()
        (folder / ".config" / "token").write_text(SECRET)
        (folder / "outside").symlink_to("/etc")
        yield folder


def opened(arena: Arena, *arguments: str) -> CompletedProcess[bytes]:
    return cli(arena, "open", *arguments, "--engine", arena.engine, "--name", "sent")


async def removed(arena: Arena) -> dict[str, Any]:
    """The facts of the session that was made, which is deleted."""
    from kernel_gateway.session.lifetime import delete_session

    folder = SessionStore(arena.data).find("sent")
    values = folder.read()
    await delete_session(folder)
    return values


LOOK = "import os, json; print('LOOK', json.dumps(sorted(os.path.join(f, n) for f, _, ns in os.walk('.') for n in ns)), os.path.exists('inputs/etc'), os.getuid() == 0)"


async def hostile_notebook(arena: Arena) -> None:
    """What a notebook asks for is not had: no engine, network, mount, limit, uid or path; no hidden file of the folder it lies in."""
    asked = {
        "engine": "local", "uid": 0, "policy": {"egress": "list", "memory": 1 << 50, "disk": 1 << 50},
        "egress": {"mode": "list", "hosts": [{"host": "evil.example", "mode": "tunnel"}]},
        "mounts": [{"source": "/etc", "name": "etc"}], "image": {"digest": "../../../../etc", "name": "x"},
        "inputs": [{"path": p, "sha256": "0" * 64, "bytes": 1} for p in (
            ".netrc", ".config/token", ".config", "../../etc/passwd", "/etc/passwd", "outside/passwd", "a/../../x", "a\0b", "\x1b[2J")],
    }  # fmt: skip
    with sent(arena) as folder:
        path = folder / "n.ipynb"
        path.write_text(
            notebook(
                code(f"open('.netrc'); open('.config/token'); open('outside/passwd')\n{LOOK}".replace("open(", "str(")),
                **asked,
            )
        )
        done = opened(arena, str(path), "--replay")
        assert done.returncode == 0, done.stderr
        assert b"LOOK [] False False" in done.stdout and SECRET.encode() not in done.stdout
        assert b"\x1b[2J" not in done.stdout + done.stderr
        values = await removed(arena)
        assert (values["engine"], values.get("mounts", [])) == (arena.engine, [])
        assert Policy.from_json(values["policy"]) == load_settings().policy
        assert values["uid"] != 0


async def sent_session(arena: Arena) -> None:
    """A folder, or a zip, that says of itself that it is a session with mounts and limits of its own choice."""
    import hashlib

    with sent(arena) as folder:
        there = folder / "s"
        (there / ".session").mkdir(parents=True)
        text = notebook(code(LOOK), session="s")
        (there / "notebook.ipynb").write_text(text)
        policy = Policy(memory=1 << 40, egress="list").to_json()
        facts = {
            "session": "s",
            "policy": policy,
            "mounts": [{"source": str(folder / ".config"), "name": "etc"}],
            "uid": 0,
            "engine": "local",
        }
        (there / ".session" / "session.json").write_text(json.dumps(facts))
        (there / ".session" / "notebook.json").write_text(
            json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "seq": 1})
        )
        (there / ".session" / "journal.jsonl").write_text("")
        (there / ".session" / "blobs").mkdir()
        (there / ".session" / "blobs" / ("a" * 64)).symlink_to(folder / ".netrc")
        assert not read_recording(there).files.copy_blob("a" * 64, folder / "copied")
        for source in (there, there / "notebook.ipynb"):
            planned = plan(load_settings({"engine": arena.engine}), source, None)
            assert planned.fresh.values.get("mounts", []) == []
            assert planned.fresh.values["policy"] == load_settings().policy.to_json()
            assert planned.fresh.values.get("uid") is None


async def hostile_zips(arena: Arena) -> None:
    """Nothing is written outside of the folder that is made for it, and nothing is left behind there."""
    link, fifo, device = (zipfile.ZipInfo(name) for name in ("l.ipynb", "f", "d"))
    link.external_attr, fifo.external_attr, device.external_attr = 0o120777 << 16, 0o10644 << 16, 0o20666 << 16
    members: list[list[tuple[str | zipfile.ZipInfo, str]]] = [
        [("../x.ipynb", "{}")], [("/tmp/x.ipynb", "{}")], [("a/../../x.ipynb", "{}")], [(link, "/etc/passwd")], [(fifo, "")], [(device, "")],
        [("n.ipynb", "{}"), ("n.ipynb", "{}")], [("n", ""), ("n/n.ipynb", "{}")], [("a/" * 1900 + "n.ipynb", "{}")],
        [("a/" * depth + "x", "") for depth in range(100, 1900, 300)], [("x" * 300 + ".ipynb", "{}")], [("n.ipynb", "0" * 5_000_000)],
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(dir=arena.data) as name:
        for number, content in enumerate(members):
            archive, target = Path(name, f"{number}.zip"), Path(name, f"target-{number}")
            with (
                pytest.warns(UserWarning) if number == 6 else pytest.MonkeyPatch.context(),
                zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made,
            ):
                for member, text in content:
                    made.writestr(member, text)
            with pytest.raises(GatewayError):
                unpack(archive, target, 1_000_000)
        assert not Path(name, "x.ipynb").exists() and not Path("/tmp/x.ipynb").exists()


def displayed(**data: Any) -> Cell:
    return Cell(
        "",
        [{"output_type": "display_data", "data": {k.replace("_", "/"): v for k, v in data.items()}, "metadata": {}}],
        "ok",
    )


async def hostile_comparisons(arena: Arena) -> None:
    """Each costs its own verdict, never one of the others, and is never called the same."""
    import base64

    def deep(n: int) -> Any:
        return json.loads("[" * n + str(n) + "]" * n)

    def picture(width: int, height: int) -> str:
        return base64.b64encode(bomb(width, height)).decode()

    def zipped(fill: bytes) -> bytes:
        with tempfile.TemporaryFile() as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
                made.writestr("xl/workbook.xml", fill * (64 << 20))
                made.writestr("../../../../tmp/escaped", fill)
            file.seek(0)
            return file.read()

    laughs = (
        "<!DOCTYPE x ["
        + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 20 if n else "ha"}">' for n in range(12))
        + ']><svg xmlns="http://www.w3.org/2000/svg">&a11;'
    )
    reads = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg">&e;'
    pairs = [
        Pair(displayed(image_png=picture(50_000, 50_000)), displayed(image_png=picture(50_000, 49_999))),
        Pair(displayed(image_png=picture(9_000, 8_000)), displayed(image_png=picture(8_000, 9_000))),
        Pair(Cell("", [{"output_type": "execute_result", "data": {"application/json": deep(400)}}], "ok"),
             Cell("", [{"output_type": "execute_result", "data": {"application/json": deep(399)}}], "ok")),
        Pair(Cell("", [{"output_type": "display_data", "data": {"image/svg+xml": laughs + "a</svg>"}}], "ok"),
             Cell("", [{"output_type": "display_data", "data": {"image/svg+xml": laughs + "b</svg>"}}], "ok")),
        Pair(Cell("", [{"output_type": "display_data", "data": {"image/svg+xml": reads + "a</svg>"}}], "ok"),
             Cell("", [{"output_type": "display_data", "data": {"image/svg+xml": reads + "b</svg>"}}], "ok")),
        Pair(Cell("", [], "ok", files={"a.xlsx": zipped(b"a"), "b.zip": zipped(b"a"), "c.db": b"SQLite format 3\0" + os.urandom(5000)}),
             Cell("", [], "ok", files={"a.xlsx": zipped(b"b"), "b.zip": zipped(b"b"), "c.db": b"SQLite format 3\0" + os.urandom(5000)})),
        Pair(Cell("", [{"output_type": "stream", "name": "stdout", "text": "1" * 2_000_000 + "." + "9" * 2_000_000}], "ok"),
             Cell("", [{"output_type": "stream", "name": "stdout", "text": "1" * 2_000_000 + "." + "8" * 2_000_000}], "ok")),
        Pair(displayed(text_plain="the last"), displayed(text_plain="the last")),
    ]  # fmt: skip
    verdicts = await compare_in_sandbox(make_engine(arena.engine), arena.image.root, pairs, timeout=90, item_timeout=8)
    assert [v.verdict for v in verdicts[:-1] if v.verdict in ("same", "close")] == []
    assert verdicts[-1].verdict == "same"
    assert "root:" not in repr(verdicts)
    assert not Path("/tmp/escaped").exists()
