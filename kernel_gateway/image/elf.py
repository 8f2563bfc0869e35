"""Where an ELF file looks for its shared libraries, read and rewritten in place: no tool of the machine is needed."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 1, 5, 14, 15, 29


@dataclass(frozen=True)
class Dynamic:
    """What the dynamic section says. ``search_offset`` is where in the file the search path's text lies, None when there is none."""

    soname: str | None
    needed: tuple[str, ...]
    search_path: str | None
    search_offset: int | None


def read_dynamic(data: bytes) -> Dynamic | None:
    """None for anything but a dynamic, 64-bit, little-endian ELF file."""
    if data[:6] != b"\x7fELF\x02\x01":
        return None
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    # type, offset in the file, address, size in the file
    segments = [_segment(data, table + i * size) for i in range(count)]
    entries = [e for kind, offset, _, length in segments if kind == _PT_DYNAMIC for e in _entries(data, offset, length)]
    addresses = [value for tag, value in entries if tag == _DT_STRTAB]
    if not addresses:
        return None
    strings = _file_offset(segments, addresses[0])

    def texts(*tags: int) -> list[str]:
        return [_text(data, strings + value) for tag, value in entries if tag in tags]

    search = [strings + value for tag, value in entries if tag in (_DT_RPATH, _DT_RUNPATH)]
    return Dynamic(
        soname=next(iter(texts(_DT_SONAME)), None),
        needed=tuple(texts(_DT_NEEDED)),
        search_path=next(iter(texts(_DT_RPATH, _DT_RUNPATH)), None),
        search_offset=search[0] if search else None,
    )


def set_search_path(path: Path, search_path: str) -> bool:
    """Replace the file's own search path (RPATH or RUNPATH). False when it has none, or none long enough: the file is unchanged then."""
    data = bytearray(path.read_bytes())
    dynamic = read_dynamic(bytes(data))
    if dynamic is None or dynamic.search_offset is None or dynamic.search_path is None:
        return False
    old, new = dynamic.search_path.encode(), search_path.encode()
    if len(new) > len(old):
        return False
    data[dynamic.search_offset : dynamic.search_offset + len(old)] = new.ljust(len(old), b"\0")
    path.write_bytes(data)
    return True


def _segment(data: bytes, at: int) -> tuple[int, int, int, int]:
    kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", data, at)
    return kind, offset, address, length


def _entries(data: bytes, offset: int, length: int) -> list[tuple[int, int]]:
    return list(struct.iter_unpack("<qQ", data[offset : offset + length - length % 16]))


def _file_offset(segments: list[tuple[int, int, int, int]], address: int) -> int:
    for kind, offset, start, length in segments:
        if kind == _PT_LOAD and start <= address < start + length:
            return address - start + offset
    return address


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()
