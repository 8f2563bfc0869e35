"""Run by the interpreter that is to be copied (``-I -S probe.py``): prints the shared objects that it and its extension modules map."""

from __future__ import annotations

import importlib
import json
import sysconfig
from pathlib import Path

_NOT_COPIED = ("_test", "_ctypes_test", "_xxtest", "xx", "_tkinter")


def import_extensions() -> None:
    for path in sorted(Path(sysconfig.get_path("platstdlib"), "lib-dynload").glob("*.so")):
        name = path.name.split(".")[0]
        if name.startswith(_NOT_COPIED):
            continue
        try:
            importlib.import_module(name)
        except ImportError:  # its library is not on this machine: the copy is not worse
            continue


def mapped_libraries() -> list[str]:
    fields = (line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines())
    return sorted({f[5] for f in fields if len(f) == 6 and ".so" in Path(f[5]).name})


if __name__ == "__main__":
    import_extensions()
    print(json.dumps(mapped_libraries()))
