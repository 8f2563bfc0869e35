from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from kernel_gateway.errors import BadRequest, FileTooLarge, UnsafePath
from kernel_gateway.replay.share import unpack

from .conftest import Cli, code, printed, write_notebook


def zipped(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_zip_becomes_a_session_that_a_colleague_goes_on_with(
    cli: Cli, data: Path, tmp_path: Path, image: object
) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", code("n = len(open('a.csv').read())\nprint(n)", printed("4\n")))
    share = zipped(tmp_path / "share.zip", **{"s/n.ipynb": notebook.read_text(), "s/workspace/a.csv": "1,2\n"})
    done = cli("open", share, "--replay", "--name", "opened")
    assert (done.code, done.out) == (0, "4\n"), done.err
    assert cli("run", "-", "-s", "opened", stdin="print(n + 1)").out == "5\n"
    found = json.loads((data / "sessions" / "opened" / "notebook.ipynb").read_text())
    assert found["metadata"]["kernel_gateway"]["origin"]["notebook"] == "n.ipynb"


def test_an_exported_session_is_opened_with_its_inputs_and_what_its_cells_made(
    cli: Cli, tmp_path: Path, image: object
) -> None:
    (tmp_path / "a.csv").write_text("1,2\n")
    cli("run", "-", "--name", "amber", stdin="0")
    cli("files", "put", "amber", tmp_path / "a.csv")
    cli("run", "-", "-s", "amber", stdin="open('made.txt', 'w').write(open('a.csv').read() * 2)")
    assert cli("export", "amber", "--to", "zip", "-o", tmp_path / "amber.zip").code == 0
    assert cli("open", tmp_path / "amber.zip", "--name", "going").code == 0
    shown = cli("run", "-", "-s", "going", stdin="import os; print(sorted(os.listdir()))")
    assert shown.out == "['a.csv', 'made.txt', 'notebook.ipynb']\n"
    assert cli("open", tmp_path / "amber.zip", "--replay", "--name", "again").code == 0
    assert cli("run", "-", "-s", "again", stdin="print(open('made.txt').read(), end='')").out == "1,2\n1,2\n"


def test_without_replay_nothing_runs_and_the_recorded_cells_are_shown_as_such(
    cli: Cli, data: Path, tmp_path: Path, image: object
) -> None:
    (tmp_path / "a.csv").write_text("x")
    words = {"cell_type": "markdown", "metadata": {}, "source": "# Why"}
    fence = "s = '```'\nopen('a.csv'); open('made', 'w'); print(s)"
    path = write_notebook(tmp_path / "n.ipynb", words, code(fence, printed("```\n")), code("%%bash\nls"))
    opened = cli("open", path, "--name", "opened")
    assert (opened.code, "none of them has run" in opened.err) == (0, True)
    listed = cli("run", "-", "-s", "opened", "--json", stdin="import os\nprint(sorted(os.listdir()))")
    assert listed.json["outputs"][0]["text"] == "['a.csv', 'n.ipynb']\n"
    assert "none of them has run" in listed.json["notice"]
    cells = json.loads((data / "sessions" / "opened" / "notebook.ipynb").read_text())["cells"]
    shown = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    assert "# Why" in shown
    (python,) = [s for s in shown if "Cell 1 of n.ipynb" in s]
    assert f"````python\n{fence}\n````" in python
    assert "recorded to give" in python
    assert [s for s in shown if "```bash\n%%bash\nls\n```" in s]
    assert not [c for c in cells if c["cell_type"] == "code" and "a.csv" in "".join(c["source"])]
    cli("sessions", "stop", "opened")
    assert cli("run", "-", "-s", "opened", stdin="print(sorted(os.listdir()))").out == listed.json["outputs"][0]["text"]


def test_a_zip_leads_nowhere_else_and_stays_small(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with pytest.raises(UnsafePath):
        unpack(zipped(tmp_path / "a.zip", **{"../x.ipynb": "{}"}), target, 1000)
    with pytest.raises(FileTooLarge):
        unpack(zipped(tmp_path / "b.zip", **{"x.ipynb": "0" * 2000}), target, 1000)
    with pytest.raises(BadRequest, match="several notebooks"):
        unpack(zipped(tmp_path / "c.zip", **{"1.ipynb": "{}", "2.ipynb": "{}"}), target, 1000)
    link = zipfile.ZipInfo("l.ipynb")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UnsafePath):
        unpack(tmp_path / "d.zip", tmp_path / "target2", 1000)
