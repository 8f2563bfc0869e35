from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_gateway.errors import BadRequest
from kernel_gateway.image.pylock import Pinned, read_pylock, requirements, without_addresses

from .wheels import write_wheel

HASH = "a" * 64
WRITTEN = f"""\
lock-version = "1.0"
created-by = "uv"

[[packages]]
name = "one"
version = "1.0"
index = "https://index.example.org/simple"
wheels = [
    {{ url = "https://files.example.org/ab/one-1.0+cpu-py3-none-any.whl", hashes = {{ sha256 = "{HASH}" }} }},
]

[[packages]]
name = "two"
version = "2.0"
wheels = [{{ path = "/somewhere/two-2.0-py3-none-any.whl", upload-time = 2026-07-12T03:31:47Z, hashes = {{ sha256 = "{HASH}" }} }}]
"""


def test_a_lock_keeps_names_versions_and_hashes_and_no_address() -> None:
    lock = without_addresses(WRITTEN)
    assert "example.org" not in lock and "/somewhere" not in lock and "upload-time" not in lock
    assert 'path = "wheels/one-1.0+cpu-py3-none-any.whl"' in lock
    assert read_pylock(lock) == [Pinned("one", "1.0", [HASH]), Pinned("two", "2.0", [HASH])]


def test_as_requirements_it_pins_each_package_by_hash() -> None:
    pinned = [Pinned("two", "2.0", ["b" * 64, HASH]), Pinned("One", "1.0", [HASH])]
    assert requirements(pinned) == (
        f"One==1.0 \\\n    --hash=sha256:{HASH}\ntwo==2.0 \\\n    --hash=sha256:{HASH} \\\n    --hash=sha256:{'b' * 64}\n"
    )


@pytest.mark.parametrize(
    "package",
    [
        'name = "one\\n--index-url"\nversion = "1"',
        'name = "one"\nversion = "1 --no-verify"',
        'name = "-r"\nversion = "1"',
        'name = "one"',
    ],
)
def test_a_lock_that_would_be_more_than_names_and_versions_is_refused(package: str) -> None:
    lock = f'[[packages]]\n{package}\nwheels = [{{ path = "a", hashes = {{ sha256 = "{HASH}" }} }}]\n'
    with pytest.raises(BadRequest):
        read_pylock(lock)


@pytest.mark.parametrize("lock", ["", "packages = 3", "[[packages]]\nname = 'one'\nversion = '1'\nwheels = []\n"])
def test_a_lock_without_hashes_is_refused(lock: str) -> None:
    with pytest.raises(BadRequest):
        read_pylock(lock)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    with pytest.raises(BadRequest):
        read_pylock(f"{text}\n=")


def test_what_a_lock_names_is_what_uv_takes(tmp_path: Path) -> None:
    import subprocess
    import sys

    from uv import find_uv_bin

    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel = write_wheel(folder, "one", "1.0", {"one.py": ""})
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = tmp_path / "pylock.toml"
    entry = f'{{ path = "wheels/{wheel.name}", hashes = {{ sha256 = "{digest}" }} }}'
    lock.write_text(
        f'lock-version = "1.0"\ncreated-by = "uv"\n\n[[packages]]\nname = "one"\nversion = "1.0"\nwheels = [{entry}]\n'
    )
    command = [find_uv_bin(), "pip", "install", "--offline", "--no-config", "--target", str(tmp_path / "there")]
    done = subprocess.run(
        [*command, "--python", sys.executable, "-r", str(lock)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "there" / "one.py").is_file()
