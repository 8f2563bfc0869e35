"""Code that is run once over untrusted bytes."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from kernel_gateway.sandbox.bubblewrap import BubblewrapEngine
from kernel_gateway.sandbox.oneshot import OneshotFailed, run_once
from kernel_gateway.session.policy import Policy

from .conftest import MEGABYTE

POLICY = Policy(memory=512 * MEGABYTE, processes=16, disk=16 * MEGABYTE)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of the tests at the place where an image has its own, without what a short program needs not."""
    python = tmp_path_factory.mktemp("image") / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    skipped = shutil.ignore_patterns(
        "test*",
        "site-packages",
        "dist-packages",
        "__pycache__",
        "config-*",
        "idlelib",
        "ensurepip",
        "lib2to3",
        "tkinter",
    )
    shutil.copytree(
        Path(sys.base_prefix, "lib", version), python / "lib" / version, ignore=skipped, ignore_dangling_symlinks=True
    )
    (python / "bin").mkdir()
    shutil.copy(Path(sys.base_prefix, "bin", version), python / "bin" / "python3")
    for library in Path(sys.base_prefix, "lib").glob("libpython*.so*"):
        shutil.copy(library, python / "lib")
    for parent in (python.parent, python):
        parent.chmod(0o755)
    return python.parent


async def test_stdin_comes_back_changed(engine: BubblewrapEngine, image: Path) -> None:
    code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])"
    data = bytes(range(256)) * 10_000
    assert await run_once(engine, image, code, data, timeout=60, policy=POLICY) == data[::-1]


async def test_a_failure_carries_what_was_written_to_stderr(engine: BubblewrapEngine, image: Path) -> None:
    with pytest.raises(OneshotFailed, match="no picture"):
        await run_once(engine, image, "raise ValueError('no picture')", b"", timeout=60, policy=POLICY)


async def test_it_ends_at_its_timeout(engine: BubblewrapEngine, image: Path) -> None:
    with pytest.raises(OneshotFailed, match="longer than"):
        await run_once(engine, image, "while True: pass", b"", timeout=1.0, policy=POLICY)


async def test_it_ends_when_it_writes_too_much(engine: BubblewrapEngine, image: Path) -> None:
    with pytest.raises(OneshotFailed, match="more than 1,000 bytes"):
        await run_once(
            engine, image, "while True: print('x' * 1000)", b"", timeout=60, policy=POLICY, output_limit=1000
        )


async def test_it_leaves_nothing_behind(
    engine: BubblewrapEngine, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = "try:\n    open('/workspace/x', 'w')\nexcept OSError as error:\n    print(error.errno)"
    assert await run_once(engine, image, code, b"", timeout=60, policy=POLICY) == b"30\n"
    assert not list(tmp_path.iterdir())
