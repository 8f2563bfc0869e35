"""The images of this machine, by digest and by name.

``<root>/<digest>/`` holds ``root/`` (bound at ``/image``), ``image.json`` and ``lock.txt``; ``<root>/names/<name>`` is a link to a digest.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import BadRequest, ImageUnavailable, NotFound
from .image import Image
from .progress import Progress, silent

DEFAULT = "default"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_UNFINISHED = ".build-"


def default_root(environment: Mapping[str, str] = os.environ) -> Path:
    """``$CELL_GATEWAY_IMAGES``, else beside the default data folder: all data folders of a user share the images."""
    chosen = environment.get("CELL_GATEWAY_IMAGES")
    if chosen:
        return Path(chosen).expanduser().absolute()
    data = environment.get("XDG_DATA_HOME") or Path(environment.get("HOME") or "~").expanduser() / ".local" / "share"
    return Path(data) / "cell-gateway" / "images"


class ImageStore:
    """Images below ``root``. Readers need no lock: an image appears whole, by a rename."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else default_root()
        self._names = self.root / "names"

    def list(self) -> list[Image]:
        """One entry a name, by name; then those that no name points to any more, by digest."""
        named = [self._read(digest, name) for name, digest in self._links() if self.has(digest)]
        seen = {image.digest for image in named}
        others = [path.name for path in sorted(self.root.glob("*")) if path.name not in seen and self.has(path.name)]
        return [*named, *(self._read(digest, "") for digest in others)]

    def find(self, name: str) -> Image:
        """By name, else by digest or a unique prefix of one (4 characters at least). Raises NotFound, BadRequest when not unique."""
        images = self.list()
        matches = [i for i in images if i.name == name]
        if not matches and len(name) >= 4:
            matches = list({i.digest: i for i in reversed(images) if i.digest.startswith(name)}.values())
        if len(matches) > 1:
            raise BadRequest(f"{name!r} is the start of several digests.", "Give more of it.")
        if not matches:
            raise NotFound(f"There is no image {name!r}.", "See them with: cell-gateway image list")
        return matches[0]

    def ensure(self, name: str = DEFAULT, progress: Progress = silent) -> Image:
        """The image of that name; the default one is built first when it is missing or not the one of this version and Python.

        Raises NotFound for another name, ImageUnavailable when it cannot be built.
        """
        from .build import build

        return build(self, DEFAULT, None, progress) if name == DEFAULT else self.find(name)

    def remove(self, name: str) -> Image:
        """Remove a name or, by digest, all its names; the files go with the last name. Sessions that still run from them break."""
        image = self.find(name)
        with self.locked():
            for link, digest in list(self._links()):
                if link == name or (digest == image.digest and name != image.name):
                    (self._names / link).unlink()
            if image.digest not in {digest for _, digest in self._links()}:
                self._delete(self.root / image.digest)
        return image

    def named(self, name: str) -> Image | None:
        """The image of that name, if it is there."""
        link = self._names / name
        digest = link.readlink().name if link.is_symlink() else ""
        return self._read(digest, name) if self.has(digest) else None

    def has(self, digest: str) -> bool:
        return bool(_DIGEST.fullmatch(digest)) and (self.root / digest / "image.json").is_file()

    def give_name(self, name: str, digest: str) -> Image:
        """Point ``name`` to an image that is there, in one step."""
        self._names.mkdir(exist_ok=True)
        temporary = self._names / f".{secrets.token_hex(8)}"
        temporary.symlink_to(f"../{digest}")
        temporary.replace(self._names / name)
        return self._read(digest, name)

    @contextmanager
    def locked(self, progress: Progress = silent) -> Generator[None, None, None]:
        """Hold the right to change the store; waits for whoever has it. What killed builders left is removed first."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ImageUnavailable(
                f"{self.root} cannot be written: {error.strerror}.", "Set CELL_GATEWAY_IMAGES to a folder of your own."
            ) from None
        try:
            _lock(descriptor, progress)
            for left in self.root.glob(f"{_UNFINISHED}*"):
                shutil.rmtree(left)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def new(self, digest: str) -> Generator[Path, None, None]:
        """A folder to build in; it becomes the image when the block ends well, and is gone otherwise. Needs the lock."""
        folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.root))
        folder.chmod(0o755)
        try:
            yield folder
            # An image that has its name after a power cut has its files too.
            os.sync()
            folder.rename(self.root / digest)
        except BaseException:
            shutil.rmtree(folder)
            raise

    def _delete(self, image: Path) -> None:
        """It is no image from the first moment on."""
        doomed = self.root / f"{_UNFINISHED}{image.name}"
        image.rename(doomed)
        shutil.rmtree(doomed)

    def _links(self) -> Iterator[tuple[str, str]]:
        for path in sorted(self._names.glob("*")):
            if path.is_symlink() and _NAME.fullmatch(path.name):
                yield path.name, path.readlink().name

    def _read(self, digest: str, name: str) -> Image:
        folder = self.root / digest
        try:
            values: dict[str, Any] = json.loads((folder / "image.json").read_bytes())
            return Image(
                name=name,
                digest=digest,
                root=folder / "root",
                recipe=values["recipe"],
                python_version=values["python"],
                packages=values["packages"],
                node_version=values["node"],
                created=values["created"],
                size_bytes=values["bytes"],
                needs_library_path=values["needs_library_path"],
            )
        except (OSError, ValueError, KeyError) as error:
            raise ImageUnavailable(
                f"{folder} is damaged: {error!r}.", f"Remove that folder, then: cell-gateway image build {name}"
            ) from None


def checked_name(name: str) -> str:
    """Raises BadRequest for a name that could be taken for a digest or a path."""
    if not _NAME.fullmatch(name) or _DIGEST.fullmatch(name):
        raise BadRequest(
            f"{name!r} is no name for an image.", "Use small letters, digits, '.', '_' and '-', 63 at most."
        )
    return name


def _lock(descriptor: int, progress: Progress) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        progress("waiting for another build", 0.0)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
