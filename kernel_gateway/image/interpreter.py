"""The machine's own Python, copied so that it works wherever the copy is bound."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from ..errors import ImageUnavailable
from .elf import read_dynamic, set_search_path

# What the sandbox binds from the machine anyway.
_SYSTEM_LIBRARIES = ("/usr/lib/", "/usr/lib64/", "/usr/lib32/", "/lib/", "/lib64/")
_SYSTEM_PREFIXES = ("/usr", "/usr/local")
_NOT_COPIED = shutil.ignore_patterns(
    *("__pycache__", "site-packages", "dist-packages", "EXTERNALLY-MANAGED", "sitecustomize.py", "usercustomize.py"),
    *("test", "tests", "idlelib", "turtledemo", "*.a", "*.o", "python.o"),
    *("_test*.so", "_ctypes_test*.so", "_xxtest*.so", "xxlimited*.so"),
)


@dataclass(frozen=True)
class Interpreter:
    """An installed CPython. ``prefix`` is what ``sys.base_prefix`` says; ``libpython`` is None when it is linked statically."""

    executable: Path
    prefix: Path
    stdlib: Path
    include: Path
    version: str
    libpython: Path | None

    @property
    def name(self) -> str:
        """``python3.11``: the program's name, and that of its library folder."""
        return self.stdlib.name

    def identity(self) -> dict[str, str | None]:
        """What makes one interpreter another: part of an image's digest."""
        return {
            "python": self.version,
            "interpreter": _sha256(self.executable),
            "libpython": _sha256(self.libpython) if self.libpython else None,
            "libc": " ".join(platform.libc_ver()),
            "machine": f"{sys.platform} {platform.machine()}",
        }


def own_interpreter() -> Interpreter:
    """The Python that runs us, outside any virtual environment."""
    prefix = Path(sys.base_prefix).resolve()
    stdlib = Path(sysconfig.get_path("stdlib"))
    executable = str(getattr(sys, "_base_executable", "") or prefix / "bin" / stdlib.name)
    return Interpreter(
        executable=Path(executable).resolve(),
        prefix=prefix,
        stdlib=stdlib,
        include=Path(sysconfig.get_path("include")),
        version=platform.python_version(),
        libpython=_own_libpython(),
    )


def copy_interpreter(interpreter: Interpreter, target: Path, place: str) -> None:
    """Copy into ``target`` (its future place is ``place``): ``bin/python3``, the standard library without tests, headers, libraries.

    Afterwards ``target`` works where it is and at ``place``, but for a Python whose libraries have no search path of their own:
    then `needs_library_path` is true.
    """
    (target / "bin").mkdir(parents=True)
    program = target / "bin" / interpreter.name
    shutil.copyfile(interpreter.executable, program)
    program.chmod(0o755)
    for link in ("python3", "python"):
        (target / "bin" / link).symlink_to(interpreter.name)
    stdlib = target / _relative(interpreter.stdlib, interpreter.prefix)
    _copy_tree(interpreter.stdlib, stdlib)
    if interpreter.include.is_dir():
        _copy_tree(interpreter.include, target / _relative(interpreter.include, interpreter.prefix))
    libraries = [_copy_library(path, target / "lib") for path in _foreign_libraries(interpreter)]
    for path in (program, *libraries, *stdlib.glob("lib-dynload/*.so")):
        set_search_path(path, f"$ORIGIN/{os.path.relpath(target / 'lib', path.parent)}")
    settings = (*stdlib.glob("_sysconfigdata*.py"), *stdlib.glob("config-*/Makefile"), *stdlib.glob("config-*/*.py"))
    _forget_prefix(interpreter, settings, place)


def needs_library_path(target: Path) -> bool:
    """Whether the copied interpreter finds its libraries only with ``LD_LIBRARY_PATH``."""
    python = target / "bin" / "python3"
    found = subprocess.run(
        [python, "-I", "-S", Path(__file__).with_name("probe.py")], capture_output=True, env={}, check=False
    )
    if found.returncode:
        return True
    mapped: list[str] = json.loads(found.stdout)
    return any(not path.startswith((*_SYSTEM_LIBRARIES, f"{target.resolve()}/")) for path in mapped)


def _foreign_libraries(interpreter: Interpreter) -> list[Path]:
    """Shared libraries (not extension modules) that the sandbox would not see."""
    command = [interpreter.executable, "-I", "-S", Path(__file__).with_name("probe.py")]
    try:
        found = subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ImageUnavailable(
            f"{interpreter.executable} cannot be started: {error}.", "Run cell-gateway with another Python."
        ) from None
    paths = [Path(p) for p in json.loads(found.stdout)]
    return [p for p in paths if not str(p).startswith(_SYSTEM_LIBRARIES) and not p.is_relative_to(interpreter.stdlib)]


def _copy_library(source: Path, folder: Path) -> Path:
    """Under its file's name, with a link by the name that others ask for."""
    folder.mkdir(exist_ok=True)
    target = folder / source.name
    shutil.copyfile(source, target)
    target.chmod(0o755)
    dynamic = read_dynamic(target.read_bytes())
    if dynamic and dynamic.soname and dynamic.soname != target.name:
        (folder / dynamic.soname).symlink_to(target.name)
    return target


def _copy_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=_NOT_COPIED, ignore_dangling_symlinks=True, copy_function=shutil.copyfile)


def _forget_prefix(interpreter: Interpreter, paths: tuple[Path, ...], place: str) -> None:
    """Write ``place`` for the prefix it was built with, which often is a folder in somebody's home.

    Programs keep the prefix they were compiled with, which they do not use: linkers let other texts share its end.
    """
    if str(interpreter.prefix) in _SYSTEM_PREFIXES:
        return
    for path in paths:
        data = path.read_bytes()
        path.write_bytes(data.replace(os.fsencode(interpreter.prefix), place.encode()))


def _relative(path: Path, prefix: Path) -> Path:
    """Where in the copy a part of the installation goes: at the same place below its prefix."""
    try:
        return path.resolve().relative_to(prefix)
    except ValueError:
        return Path(path.parent.name, path.name)


def _own_libpython() -> Path | None:
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and Path(fields[5]).name.startswith("libpython3."):
            return Path(fields[5])
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()
