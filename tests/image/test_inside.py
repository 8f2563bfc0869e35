"""The default image at its place, in a sandbox, with a kernel."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from .conftest import UID, Inside


class Kernel:
    """ipykernel started as a session starts it."""

    def __init__(self, inside: Inside) -> None:
        path, values = write_connection_file(
            str(inside.sockets / "connection.json"), transport="ipc", ip="/run/kernel/s"
        )
        if UID is not None:
            os.chown(path, UID, UID)
        self._process = inside.popen(inside.image.kernel_command("/run/kernel/connection.json"))
        self.client = BlockingKernelClient()
        self.client.load_connection_info({**values, "ip": str(inside.sockets / "s")})
        self.client.start_channels()
        self._wait_until_ready(time.monotonic() + 60)

    def run(self, source: str) -> list[tuple[str, Any]]:
        """Outputs of a cell: message type and content."""
        said: list[tuple[str, Any]] = []
        self.client.execute_interactive(
            source, output_hook=lambda m: said.append((m["msg_type"], m["content"])), timeout=60
        )
        return [(kind, content) for kind, content in said if kind not in ("status", "execute_input")]

    def _wait_until_ready(self, deadline: float) -> None:
        """The client calls a kernel dead that is silent for a second, as it may be on a busy machine: its process tells."""
        try:
            self.client.wait_for_ready(timeout=60)
        except RuntimeError:
            if self._process.poll() is None and time.monotonic() < deadline:
                return self._wait_until_ready(deadline)
            self.kill()
            raise

    def kill(self) -> None:
        """Nothing of it is left for the tests that follow."""
        self.client.stop_channels()
        self._process.kill()
        self._process.communicate(timeout=60)

    def stop(self) -> tuple[str, str]:
        """End it; what it printed to the descriptors it was started with."""
        self.client.shutdown(reply=True, timeout=60)
        self.client.stop_channels()
        return self._process.communicate(timeout=60)


@pytest.fixture
def kernel(inside: Inside) -> Iterator[Kernel]:
    running = Kernel(inside)
    yield running
    running.stop()


def test_a_kernel_answers_and_prints_nothing_of_its_own(inside: Inside) -> None:
    kernel = Kernel(inside)
    assert kernel.run("1+1")[0][1]["data"] == {"text/plain": "2"}
    assert kernel.stop() == ("", "")


def test_the_first_plot_is_a_picture_and_nothing_else(kernel: Kernel) -> None:
    said = kernel.run("import pandas as pd\npd.DataFrame({'a': [1, 3, 2]}).plot();")
    assert [kind for kind, _ in said] == ["display_data"]
    assert "image/png" in said[0][1]["data"]


def test_plots_know_only_the_fonts_of_the_image(kernel: Kernel) -> None:
    source = "from matplotlib import font_manager as f\nprint(all(x.fname.startswith('/image/') for x in f.fontManager.ttflist))"
    assert kernel.run(source)[0][1]["text"] == "True\n"


def test_the_kernel_runs_in_the_layer(kernel: Kernel) -> None:
    assert (
        kernel.run("import sys; print(sys.prefix, sys.base_prefix)")[0][1]["text"] == "/home/user/venv /image/python\n"
    )


def test_a_traceback_has_its_usual_colours(kernel: Kernel) -> None:
    kind, content = kernel.run("1/0")[0]
    assert kind == "error"
    assert "\x1b[" in "".join(content["traceback"])


def test_history_is_kept_in_memory_alone(inside: Inside, kernel: Kernel) -> None:
    kernel.run("1")
    assert list(inside.layer.rglob("history.sqlite*")) == []


def test_all_default_packages_import_without_a_word(inside: Inside) -> None:
    modules = "numpy pandas scipy.stats statsmodels.api sklearn.ensemble networkx sqlalchemy matplotlib.pyplot seaborn PIL.Image"
    modules += (
        " resvg_py openpyxl docx pptx pypdf reportlab.pdfgen.canvas requests vega_datasets sqlite3 ssl bz2 lzma ctypes"
    )
    done = inside.run("python", "-c", f"import {', '.join(modules.split())}", MPLBACKEND="agg")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_packages_agree_with_each_other(inside: Inside) -> None:
    assert inside.run("pip", "check").stdout == "No broken requirements found.\n"


def test_real_data_is_there_without_a_network(inside: Inside) -> None:
    done = inside.run("python", "-c", "from vega_datasets import data; print(len(data.cars()))")
    assert (done.stdout, done.stderr) == ("406\n", "")


def test_an_svg_with_text_becomes_a_picture(inside: Inside) -> None:
    source = """
import matplotlib, resvg_py
svg = '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="40"><text x="5" y="30" font-family="DejaVu Sans">{}</text></svg>'
fonts = [matplotlib.get_data_path() + "/fonts/ttf"]
draw = lambda text: resvg_py.svg_to_bytes(svg_string=svg.format(text), font_dirs=fonts, skip_system_fonts=True)
print(bytes(draw("Hi"))[:4], draw("Hi") != draw(""))
"""
    assert inside.run("python", "-c", source).stdout == "b'\\x89PNG' True\n"


def test_node_runs_and_npm_knows_the_layer(inside: Inside) -> None:
    assert inside.run("node", "-p", "[1, 2].map(x => x * 2).join()").stdout == "2,4\n"
    assert inside.run("npm", "prefix", "-g").stdout == "/home/user/.local\n"
    assert inside.run("npx", "--version").returncode == 0


def test_a_global_node_package_is_found(inside: Inside) -> None:
    package = Path(inside.workspace, "hello")
    package.mkdir()
    (package / "package.json").write_text('{"name": "hello", "version": "1.0.0", "main": "main.js"}')
    (package / "main.js").write_text("module.exports = 'hello'\n")
    installed = inside.run("npm", "install", "--offline", "-g", "--install-links", "./hello")
    assert installed.returncode == 0, installed.stderr
    assert inside.run("node", "-p", "require('hello')").stdout == "hello\n"
