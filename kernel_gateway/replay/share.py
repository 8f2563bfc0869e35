"""A notebook out of a zip: unpacked into a folder of our own, bounded, nothing outside of it, no links."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from ..errors import BadRequest, FileTooLarge, NotFound, UnsafePath
from ..session.beneath import split_path

MEMBERS = 20_000
# Deeper folders are in nobody's notebook, and more than our own way through folders is made for.
DEPTH = 64
_CHUNK = 1024**2


def unpack(path: Path, target: Path, limit: int) -> Path:
    """The notebook in it: the one that lies highest, and it must be one. ``limit`` is in bytes, of all that is unpacked.

    Raises BadRequest for what is no such zip, FileTooLarge, UnsafePath.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            files = [m for m in archive.infolist() if not m.is_dir()]
            if len(files) > MEMBERS:
                raise BadRequest(f"{path.name} holds more than {MEMBERS:,} files.")
            left = limit
            for member in files:
                left -= _extract(archive, member, target, left, path.name, limit)
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.") from None
    except (zipfile.BadZipFile, zlib.error, OSError, NotImplementedError, RuntimeError, EOFError) as error:
        raise BadRequest(f"{path.name} cannot be unpacked: {error}.") from error
    return _notebook(target, path.name)


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, left: int, name: str, limit: int) -> int:
    mode = member.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise UnsafePath(f"{name} holds {member.filename!r}, which is no plain file.")
    parts = split_path(member.filename)
    if len(parts) > DEPTH:
        raise UnsafePath(f"{name} holds folders that are more than {DEPTH} deep.")
    place = target.joinpath(*parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with archive.open(member) as source, place.open("xb") as file:
        while data := source.read(_CHUNK):
            size += len(data)
            if size > left:
                raise FileTooLarge(name, limit - left + size, limit)
            file.write(data)
    return size


def _notebook(target: Path, name: str) -> Path:
    found = sorted(target.rglob("*.ipynb"), key=lambda p: (len(PurePosixPath(p.relative_to(target)).parts), p))
    depth = [len(p.relative_to(target).parts) for p in found]
    if not found or (len(found) > 1 and depth[0] == depth[1]):
        what = "no notebook" if not found else "several notebooks"
        raise BadRequest(f"{name} holds {what}.", "Unpack it, and give the path of one.")
    return found[0]
