"""The copy of each Python that this machine has, as far as cell-gateway runs on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from kernel_gateway.image.elf import read_dynamic, set_search_path
from kernel_gateway.image.interpreter import own_interpreter

_COPY = """
import sys
from pathlib import Path
from kernel_gateway.image.interpreter import copy_interpreter, needs_library_path, own_interpreter
target = Path(sys.argv[1])
copy_interpreter(own_interpreter(), target, "/image/python")
assert not needs_library_path(target)
"""
_TELL = """
import json, sys, sysconfig
import bz2, ctypes, hashlib, lzma, multiprocessing, sqlite3, ssl, zlib
print(json.dumps([sys.prefix, sys.path, sys.version_info[:2]]))
"""


def pythons() -> list[str]:
    """The one that runs the tests, and the distribution's own where that is recent enough."""
    found = [str(own_interpreter().executable)]
    system = "/usr/bin/python3"
    recent = "import sys; sys.exit(sys.version_info < (3, 10))"
    if Path(system).exists() and subprocess.run([system, "-c", recent], check=False).returncode == 0:
        found.append(system)
    return found


@pytest.fixture(params=pythons())
def copied(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    paths = [str(Path(__file__).parents[2]), sysconfig.get_path("purelib")]
    target = tmp_path / "python"
    subprocess.run(
        [request.param, "-c", _COPY, str(target)], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    )
    return target


def tell(python: Path) -> tuple[str, list[str]]:
    found = json.loads(subprocess.run([python, "-c", _TELL], check=True, capture_output=True, env={}).stdout)
    return found[0], found[1]


def test_a_copy_uses_its_own_library_alone(copied: Path) -> None:
    prefix, path = tell(copied / "bin" / "python3")
    assert prefix == str(copied)
    assert all(entry == "" or entry.startswith(f"{copied}/") for entry in path)


def test_a_copy_can_be_moved(copied: Path) -> None:
    moved = copied.with_name("moved")
    copied.rename(moved)
    assert tell(moved / "bin" / "python3")[0] == str(moved)


def test_a_copy_has_no_test_suite_and_no_packages(copied: Path) -> None:
    library = next((copied / "lib").glob("python3.*"))
    assert not (library / "test").exists()
    assert not list(copied.rglob("*.a"))
    assert not list((library / "site-packages").glob("*"))


def test_the_settings_of_a_copy_do_not_name_where_it_came_from(copied: Path) -> None:
    prefix = str(own_interpreter().prefix)
    if prefix in ("/usr", "/usr/local"):
        return
    texts = [p for p in copied.rglob("*") if p.is_file() and (p.suffix == ".py" or p.name == "Makefile")]
    assert [p for p in texts if prefix in p.read_text(errors="replace")] == []


def test_a_search_path_is_only_replaced_by_one_that_fits(tmp_path: Path) -> None:
    candidates = [own_interpreter().executable, *Path(sysconfig.get_path("purelib")).rglob("*.so")]
    with_path = next(
        p for p in candidates if (d := read_dynamic(p.read_bytes())) and d.search_path and len(d.search_path) > 2
    )
    copy = Path(shutil.copy(with_path, tmp_path / "copy.so"))
    before = copy.read_bytes()
    assert not set_search_path(copy, "/" + "x" * 4000)
    assert copy.read_bytes() == before
    assert set_search_path(copy, "/x")
    dynamic = read_dynamic(copy.read_bytes())
    assert dynamic is not None
    assert dynamic.search_path == "/x"


def test_other_files_have_no_dynamic_section(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("hello")
    assert read_dynamic(text.read_bytes()) is None
    assert not set_search_path(text, "/x")


def test_the_identity_of_an_interpreter_does_not_name_a_place() -> None:
    identity = own_interpreter().identity()
    assert identity["python"] == ".".join(map(str, sys.version_info[:3]))
    assert not [value for value in identity.values() if value and "/" in value]
