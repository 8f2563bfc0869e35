"""The source of the editor's cells. Each leaves no name behind and takes nothing from the notebook's names but its own."""

from __future__ import annotations

from .literal import literal

VIEW_CHARACTERS = 30_000

_CREATE = """\
def _create(path, text):
    from builtins import len, print
    from pathlib import Path

    data = text.encode("utf-8", "surrogatepass")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(data)
    print(f"Wrote {path}: {len(data):,} bytes.")
"""

_REPLACE = """\
def _replace(path, old, new):
    from builtins import enumerate, print
    from pathlib import Path

    old, new = old.encode("utf-8", "surrogatepass"), new.encode("utf-8", "surrogatepass")
    data = Path(path).read_bytes()
    count = data.count(old)
    assert count == 1, f"the old text occurs {count} times in {path}, not once; nothing was changed"
    Path(path).write_bytes(data.replace(old, new))
    print(f"Edited {path}: 1 replacement.")
    first = data[: data.index(old)].count(b"\\n")
    lines = data.replace(old, new).decode("utf-8", "replace").split("\\n")
    for number, line in enumerate(lines[: first + 20], 1):
        if first - 3 < number <= first + 4 + new.count(b"\\n"):
            print(f"{number:6}\\t{line}")
"""

_INSERT = """\
def _insert(path, after, text):
    from builtins import enumerate, len, print
    from pathlib import Path

    lines = Path(path).read_bytes().split(b"\\n")
    count = len(lines) - (lines[-1] == b"")
    assert after <= count, f"{path} has {count} lines, fewer than {after}; nothing was changed"
    lines[after:after] = text.encode("utf-8", "surrogatepass").split(b"\\n")
    Path(path).write_bytes(b"\\n".join(lines))
    print(f"Edited {path}: inserted after line {after}.")
    for number, line in enumerate(lines[: after + 20], 1):
        if after - 3 < number <= after + 4 + text.count("\\n"):
            print(f"{number:6}\\t{line.decode('utf-8', 'replace')}")
"""

_VIEW = """\
def _view(path, first=1, last=-1, most=30_000):
    from builtins import any, enumerate, len, print, sorted
    from pathlib import Path

    file = Path(path)
    if file.is_dir():
        for entry in sorted([*file.glob("*"), *file.glob("*/*")])[:1000]:
            parts = entry.relative_to(file).parts
            if not any(part.startswith(".") or part == "node_modules" for part in parts):
                print("/".join(parts) + ("/" if entry.is_dir() else f"  ({entry.lstat().st_size:,} bytes)"))
        return
    with file.open("rb") as data:
        assert b"\\0" not in data.read(4096), f"{path} is no text; it has {file.stat().st_size:,} bytes"
    with file.open(encoding="utf-8", errors="replace", newline="\\n") as lines:
        number = 0
        for number, line in enumerate(lines, 1):
            if number >= first and (last < 0 or number <= last):
                print(f"{number:6}\\t{line[:most]}", end="")
                most -= len(line)
            if most <= 0 or number == last:
                break
        assert number >= first or first == 1, f"{path} has {number} lines"
        if most <= 0:
            print(f"\\n[cut in or after line {number}: view_range shows more]")
"""

_PICTURE = """\
def _view(path):
    from IPython.display import Image, display

    display(Image(filename=path))
"""


def create_cell(path: str, text: str) -> str:
    """Makes folders as well. No ``%%writefile``: what that prints depends on whether the file is there, so on a re-run it differs."""
    return _calling(_CREATE, literal(path), literal(text))


def replace_cell(path: str, old: str, new: str) -> str:
    return _calling(_REPLACE, literal(path), f"old={literal(old)}", f"new={literal(new)}")


def insert_cell(path: str, line: int, text: str) -> str:
    """``text`` becomes lines of its own after line ``line``, with or without a line break at its end."""
    return _calling(_INSERT, literal(path), f"after={line}", f"text={literal(text.removesuffix(chr(10)))}")


def view_cell(path: str, first: int = 1, last: int = -1) -> str:
    """Prints lines with numbers, or two levels of a folder."""
    bounds = () if (first, last) == (1, -1) else (f"first={first}", f"last={last}")
    return _calling(_VIEW, literal(path), *bounds)


def picture_cell(path: str) -> str:
    return _calling(_PICTURE, literal(path))


def _calling(function: str, *arguments: str) -> str:
    """The definition, then its call with the model's own text, which a reader looks for, at the end."""
    name = function[len("def ") : function.index("(")]
    call = f"{name}({', '.join(arguments)})"
    return f"{function}\n\ntry:\n    {call}\nfinally:\n    del {name}"
