"""The zip: what a colleague needs to go on, in the layout that `open` reads."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from kernel_gateway.journal import BlobStore, Journal
from kernel_gateway.notebook.export import export
from kernel_gateway.replay.share import unpack
from kernel_gateway.replay.source import read_recording
from kernel_gateway.session.folder import SessionFolder

from .journals import Script

Create = Callable[[Script], SessionFolder]
LOCK = f"""lock-version = "1.0"
created-by = "uv"
[[packages]]
name = "six"
version = "1.17.0"
wheels = [{{ path = "wheels/six-1.17.0-py2.py3-none-any.whl", hashes = {{ sha256 = "{"c" * 64}" }} }}]
"""


@pytest.fixture
def archive(small_session: Script, session_folder: Create, tmp_path: Path) -> zipfile.ZipFile:
    small_session.add(
        "kernel", generation=1, engine="bubblewrap", isolation={}, environment={"python": "3.11.9", "lock": LOCK}
    )
    folder = session_folder(small_session)
    given = BlobStore(folder.blobs).put(b"a,b\n")
    journal = Journal(folder.journal)
    journal.append("input", path="data.csv", sha256=given, bytes=4, origin="upload")
    journal.close()
    (folder.workspace / "data.csv").write_bytes(b"a cell wrote over it")
    (folder.workspace / "chart.png").write_bytes(b"made")
    return zipfile.ZipFile(export(folder, "zip", tmp_path / "s.zip").path)


def test_inputs_lie_beside_the_notebook_as_they_were_given_and_what_was_made_apart(archive: zipfile.ZipFile) -> None:
    assert archive.read("workspace/data.csv") == b"a,b\n"
    assert archive.read("outputs/chart.png") == b"made"
    notebook = nbformat.reads(archive.read("notebook.ipynb").decode(), 4)
    nbformat.validate(notebook)
    assert "](outputs/chart.png)" in notebook.cells[-1].source


def test_the_lock_is_there_for_programs_and_for_pip(archive: zipfile.ZipFile) -> None:
    assert archive.read("pylock.toml").decode() == LOCK
    assert archive.read("requirements.txt").decode() == f"six==1.17.0 --hash=sha256:{'c' * 64}\n"


def test_the_metadata_is_an_ro_crate_of_all_that_is_in_it(archive: zipfile.ZipFile) -> None:
    metadata = json.loads(archive.read("ro-crate-metadata.json"))
    assert metadata["@context"] == "https://w3id.org/ro/crate/1.1/context"
    graph = {node["@id"]: node for node in metadata["@graph"]}
    assert graph["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    parts = {part["@id"] for part in graph["./"]["hasPart"]}
    assert parts == set(archive.namelist()) - {"ro-crate-metadata.json"}
    for part in parts:
        assert graph[part]["sha256"] == hashlib.sha256(archive.read(part)).hexdigest()


def test_the_readme_says_how_to_run_it(archive: zipfile.ZipFile) -> None:
    readme = archive.read("README.md").decode()
    for expected in ("cell-gateway open", "jupyter execute notebook.ipynb", "--require-hashes", "`workspace/data.csv`"):
        assert expected in readme


def test_open_reads_it(archive: zipfile.ZipFile, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    recording = read_recording(unpack(Path(str(archive.filename)), tmp_path / "in", 10**8))
    assert recording.is_ours
    assert [i.path for i in recording.inputs] == ["data.csv"]
    assert recording.files.read("data.csv", hashlib.sha256(b"a,b\n").hexdigest(), 100) == b"a,b\n"


def test_anybodys_notebook_takes_the_files_along_that_its_cells_read(tmp_path: Path) -> None:
    path = tmp_path / "theirs.ipynb"
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell("open('a.csv').read()")]), path)
    (tmp_path / "a.csv").write_text("here")
    (tmp_path / "private.txt").write_text("not named")
    names = zipfile.ZipFile(export(path, "zip").path).namelist()
    assert set(names) == {"notebook.ipynb", "workspace/a.csv", "README.md", "ro-crate-metadata.json"}
