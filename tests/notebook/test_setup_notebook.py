from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from kernel_gateway.notebook.setup import bash_cell, needs, node_cell, restart_cell, setup_cell

from .plain_kernel import PlainKernel, Ran, node_folder, plain_kernel

NAMES = "print([name for name in globals() if name not in ('In', 'Out', 'get_ipython', 'exit', 'quit', 'open') and name[0] != '_'])"
WHERE = "import os; print(os.path.basename(os.getcwd()), os.environ['INPUT_DIR'] == os.environ['OUTPUT_DIR'] == os.getcwd())"


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A folder as a session leaves it: a workspace beside the notebook."""
    (tmp_path / "workspace").mkdir()
    return tmp_path


def test_set_up_enters_the_workspace_beside_the_notebook(beside: Path):
    with plain_kernel(beside, setup_cell()) as kernel:
        assert kernel.run(WHERE).stdout == "workspace True\n"


def test_set_up_stays_where_there_is_no_workspace(tmp_path: Path):
    with plain_kernel(tmp_path, setup_cell()) as kernel:
        assert kernel.run(WHERE).stdout == f"{tmp_path.name} True\n"


def test_set_up_runs_again_without_entering_another_workspace(beside: Path):
    (beside / "workspace" / "workspace").mkdir()
    with plain_kernel(beside, setup_cell(), "import os; os.chdir('workspace')", setup_cell()) as kernel:
        assert kernel.run("print(os.getcwd())").stdout == f"{beside}/workspace\n"


def test_folders_given_by_the_environment_stay(tmp_path: Path):
    with plain_kernel(tmp_path, "import os; os.environ['OUTPUT_DIR'] = '/given'", setup_cell()) as kernel:
        assert kernel.run("print(os.environ['OUTPUT_DIR'])").stdout == "/given\n"


def test_colours_are_off(tmp_path: Path):
    with plain_kernel(tmp_path, setup_cell()) as kernel:
        assert kernel.run("import os; print(os.environ['NO_COLOR'], 'FORCE_COLOR' in os.environ)").stdout == "1 False\n"


def test_a_warning_names_neither_the_kernel_process_nor_the_machine(beside: Path):
    (beside / "workspace" / "shapes.py").write_text("import warnings\n\ndef area():\n    warnings.warn('flat')\n")
    with plain_kernel(beside, setup_cell()) as kernel:
        shown = kernel.run("import warnings\nwarnings.warn('careful')").stderr
        assert shown == "cell:2: UserWarning: careful\n  warnings.warn('careful')\n"
        shown = kernel.run("import shapes; shapes.area()").stderr
        assert shown == "shapes.py:4: UserWarning: flat\n  warnings.warn('flat')\n"
        shown = kernel.run("max = len = None; raise SystemExit(1)").stderr
        assert shown.startswith("IPython/core/interactiveshell.py:")


def test_no_names_are_left_behind(tmp_path: Path):
    with plain_kernel(tmp_path, setup_cell(), bash_cell(), node_cell()) as kernel:
        assert kernel.run(NAMES).stdout == "[]\n"


def _used(kernel: PlainKernel) -> None:
    kernel.run(
        "import os\nx = 1\ndef f(): pass\nos.mkdir('deep'); os.chdir('deep'); os.environ['NEW'] = '1'; del os.environ['INPUT_DIR']"
    )
    kernel.bash("y=2; cd /")


def test_restart_clears_names_bash_folder_and_environment(beside: Path):
    with plain_kernel(beside, setup_cell(), bash_cell()) as kernel:
        _used(kernel)
        assert kernel.run(restart_cell()) == Ran()
        assert kernel.run(NAMES).stdout == "[]\n"
        assert kernel.run(WHERE).stdout == "workspace True\n"
        assert kernel.run("print('NEW' in os.environ)").stdout == "False\n"
        assert kernel.bash("echo [$y]; basename $PWD").stdout == "[]\nworkspace\n"


def test_restart_needs_no_set_up(tmp_path: Path):
    with plain_kernel(tmp_path, "x = 1", restart_cell()) as kernel:
        assert kernel.run(NAMES).stdout == "[]\n"


def test_bash_cells_run_without_their_set_up(tmp_path: Path):
    with plain_kernel(tmp_path) as kernel:
        assert kernel.bash("echo plain").stdout == "plain\n"


@pytest.mark.parametrize(
    ("source", "languages"),
    [
        ("%%bash\nls", ("bash",)),
        ("\n%%node\n1", ("node",)),
        ("%bash_restart", ("bash",)),
        ("%%bash --out x\nls", ("bash",)),
        ("%%bashful\nls", ()),
        ("print(1)\n%%bash", ()),
        ("", ()),
    ],
)
def test_a_cell_tells_what_it_needs(source: str, languages: tuple[str, ...]):
    assert needs(source) == languages


SOURCES = [
    setup_cell(),
    "x = 1; print(x)",
    bash_cell(),
    "%%bash\nmkdir -p data && cd data && echo $((6 * 7)) >answer; export A=b; f() { echo f $1; }; false",
    "%%bash\ncat answer; echo $A; f 1; exit 3",
    "%%bash\nbasename $PWD; cat <nosuchfile",
    "print(open('data/answer').read(), x)\n1 / 0",
    restart_cell(),
    "print('x' in globals())",
    "%%bash\necho [$A]; basename $PWD; ls",
]
NODE_SOURCES = [
    node_cell(),
    "%%node\nconst v = { a: 1 }; v",
    "%%node\nconst v = 2; await v; throw new Error('no ' + v)",
    restart_cell(),
    "%%node\ntypeof v",
]


def _write(folder: Path, sources: list[str]) -> Path:
    cells = [nbformat.v4.new_code_cell(source, metadata={"tags": ["raises-exception"]}) for source in sources]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = folder / "notebook.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def _outputs(path: Path) -> list[list[dict[str, Any]]]:
    """As compared: streams by name, the plain frames of Python's own errors left out."""
    found: list[list[dict[str, Any]]] = []
    for cell in nbformat.read(path, as_version=4).cells:
        outputs: dict[str, dict[str, Any]] = {}
        for output in map(dict, cell.outputs):
            output.pop("execution_count", None)
            if output.get("ename") == "ZeroDivisionError":
                output.pop("traceback")
            known = outputs.setdefault(output.get("name", output["output_type"]), output)
            if known is not output:
                known["text"] += output["text"]
        found.append([outputs[name] for name in sorted(outputs)])
    return found


def test_a_notebook_runs_again_elsewhere_with_equal_outputs(beside: Path, tmp_path_factory: pytest.TempPathFactory):
    sources, path = SOURCES, os.environ["PATH"]
    if folder := node_folder():
        sources, path = SOURCES + NODE_SOURCES, f"{folder}{os.pathsep}{path}"
    first = _write(beside, sources)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(beside, elsewhere)
    for notebook in (first, elsewhere / "notebook.ipynb"):
        command = [sys.executable, "-m", "jupyter", "execute", "--inplace", str(notebook)]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": path}, cwd="/")
    outputs = _outputs(first)
    assert outputs == _outputs(elsewhere / "notebook.ipynb")
    shown = ["".join(o.get("text", o.get("evalue", "")) for o in cell) for cell in outputs]
    failed = "Command 'bash' returned non-zero exit status {}."
    assert shown[:10] == [
        "",
        "1\n",
        "",
        failed.format(1),
        failed.format(3) + "42\nb\nf 1\n",
        failed.format(1) + "bash: nosuchfile: No such file or directory\ndata\n",
        "division by zero42\n 1\n",
        "",
        "False\n",
        "[]\nworkspace\ndata\n",
    ]
    assert not folder or shown[10:] == ["", "{ a: 1 }\n", "Error: no 2\n    at cell:1:29", "", "'undefined'\n"]
