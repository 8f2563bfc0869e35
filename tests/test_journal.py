"""The journal under what hurts it: cuts at every byte, damaged lines, full disks, values that hostile kernels send."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel_gateway import journal as j
from kernel_gateway.errors import DiskFull, JournalDamaged

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Everything that json.loads of a kernel's message can give: lone surrogates, huge integers, NaN.
ANY_TEXT = st.text(st.characters(exclude_categories=()))
ODD = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | ANY_TEXT
VALUES = st.recursive(ODD, lambda v: st.lists(v, max_size=4) | st.dictionaries(ANY_TEXT, v, max_size=4), max_leaves=12)
FIELDS = st.dictionaries(st.sampled_from(["run", "cell", "outputs", "data", "text"]), VALUES, max_size=3)


def nested(depth: int, leaf: Any = 1) -> Any:
    value = leaf
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


def written(folder: Path, count: int = 4) -> tuple[Path, list[j.Record]]:
    path = folder / "journal.jsonl"
    writer = j.Journal(path)
    records = [writer.append("output", run=f"r{n}", outputs=[{"text": "é\n" * n}]) for n in range(count)]
    writer.sync()
    writer.close()
    return path, records


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# What goes in comes out


@SETTINGS
@given(st.lists(FIELDS, max_size=6))
def test_what_append_returns_is_what_every_reader_reads(tmp_path_factory: Any, fields: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("j") / "journal.jsonl"
    writer = j.Journal(path)
    records = [writer.append("output", **f) for f in fields]
    writer.close()
    # orjson writes NaN and infinities as null.
    expected = [j.orjson.loads(j.orjson.dumps(r)) for r in records]
    assert j.read(path).records == expected
    assert [r for r, _ in j.follow(path)] == expected
    assert [r["seq"] for r in expected] == list(range(len(fields)))


@given(FIELDS)
def test_a_line_is_one_line_of_plain_json_with_the_checksum_first(fields: dict[str, Any]) -> None:
    line = j.encode({"seq": 0, **fields})
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    parsed = json.loads(line)
    assert next(iter(parsed)) == "crc"
    body = b"{" + line[line.index(b",") + 1 : -1]
    assert parsed["crc"] == f"{zlib.crc32(body):08x}"


@pytest.mark.parametrize("depth", [99, 100, 101, 253, 254, 255, 900, 10_000, 100_000])
def test_nesting_of_any_depth_is_written_and_read(depth: int) -> None:
    record = j.decode(j.encode({"seq": 0, "x": nested(depth)}))
    assert record is not None
    j.internalize(record, None)


@pytest.mark.parametrize("depth", [99, 900, 10_000])
def test_nesting_of_any_depth_goes_through_blobs(tmp_path: Path, depth: int) -> None:
    blobs = j.BlobStore(tmp_path)
    outside = j.externalize(nested(depth, "x" * 100_000), blobs)
    back = j.internalize(j.decode(j.encode({"seq": 0, "x": outside})), blobs)["x"]
    assert (back == nested(depth, "x" * 100_000)) is (depth < j.DEPTH)


@pytest.mark.parametrize(
    ("value", "read_as"),
    [
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (2**64, float(2**64)),
        (10**30, 1e30),
        (float("nan"), None),
        ("\ud800 half", "? half"),
        ({1: "a"}, {"1": "a"}),
        (b"\xff", "b'\\xff'"),
    ],
)
def test_values_json_cannot_hold_become_near_ones(value: Any, read_as: Any) -> None:
    assert j.decode(j.encode({"seq": 0, "v": value})) == {"seq": 0, "v": read_as}


def test_an_integer_of_ten_thousand_digits_becomes_a_text_that_says_so() -> None:
    record = j.decode(j.encode({"seq": 0, "v": 10**10_000}))
    assert record is not None
    assert "digits" in record["v"]


# Cuts and damage


def test_a_journal_cut_at_any_byte_keeps_every_whole_line_and_goes_on(tmp_path: Path) -> None:
    path, records = written(tmp_path)
    whole = path.read_bytes()
    ends = [offset for _, offset in j.follow(path)]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = sum(end <= cut for end in ends)
        assert j.read(path).records == records[:kept]
        assert not j.read(path).damaged
        writer = j.Journal(path)
        added = writer.append("notice", text="after the cut")
        writer.close()
        assert j.read(path).records == [*records[:kept], added]
        assert added["seq"] == kept


def test_a_damaged_line_in_the_middle_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    path, records = written(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"r1", b"r9")
    path.write_bytes(b"".join(lines))
    reading = j.read(path)
    assert reading.records == [records[0], *records[2:]]
    assert reading.damaged == [2]
    writer = j.Journal(path)
    assert writer.append("notice", text="on")["seq"] == 4
    writer.close()
    assert j.read(path).damaged == [2]


def test_any_flipped_bit_costs_the_line_it_is_in_and_no_other(tmp_path: Path) -> None:
    path, records = written(tmp_path, 3)
    whole = path.read_bytes()
    start, end = (offset for _, offset in list(j.follow(path))[:2])
    for place in range(start, end - 1):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            assert j.read(path).records == [records[0], records[2]]


def test_zeros_that_a_loss_of_power_left_at_the_end_are_cut_off(tmp_path: Path) -> None:
    path, records = written(tmp_path)
    with path.open("ab") as file:
        file.write(bytes(5000))
    writer = j.Journal(path)
    added = writer.append("notice", text="on")
    writer.close()
    assert j.read(path).records == [*records, added]


@SETTINGS
@given(st.binary(max_size=300))
def test_no_bytes_at_all_break_a_reader(tmp_path_factory: Any, data: bytes) -> None:
    path = tmp_path_factory.mktemp("j") / "journal.jsonl"
    path.write_bytes(data)
    assert j.read(path).records == []
    assert list(j.follow(path)) == []


@pytest.mark.parametrize("found", [2, 10**6, "x", None, [1]])
def test_a_journal_of_a_later_format_is_refused_with_what_to_do(tmp_path: Path, found: Any) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(j.encode({"seq": 0, "kind": "session", "format": found}))
    with pytest.raises(JournalDamaged, match="Upgrade"):
        j.read(path)


def test_a_reader_that_follows_stops_before_a_half_written_line_and_goes_on_later(tmp_path: Path) -> None:
    path, records = written(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    seen = list(j.follow(path))
    assert [r for r, _ in seen] == records[:-1]
    path.write_bytes(whole)
    assert [r for r, _ in j.follow(path, seen[-1][1])] == records[-1:]


# Full disks


def test_a_full_disk_refuses_the_record_whole_and_keeps_what_was_there(tmp_path: Path) -> None:
    path, records = written(tmp_path)
    writer = j.Journal(path)
    with file_size_limit(path.stat().st_size + 100), pytest.raises(DiskFull, match="full"):
        writer.append("output", outputs=["x" * 5000])
    assert j.read(path).records == records
    added = writer.append("notice", text="room again")
    writer.close()
    assert j.read(path).records == [*records, added]


FULL_DISK = """
    import ctypes, os, sys
    from pathlib import Path

    from kernel_gateway.errors import DiskFull
    from kernel_gateway.journal import RESERVE_BYTES, Journal, read

    libc = ctypes.CDLL(None, use_errno=True)
    folder = Path(sys.argv[1])
    CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000

    def small_file_system():
        maps = f"0 {os.getuid()} 1", f"0 {os.getgid()} 1"
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS):
            return False
        for name, text in zip(("setgroups", "uid_map", "gid_map"), ("deny", *maps)):
            Path(f"/proc/self/{name}").write_text(text)
        return libc.mount(b"t", os.fsencode(folder), b"tmpfs", 0, b"size=2500k") == 0

    try:
        mounted = small_file_system()
    except OSError:
        mounted = False
    if not mounted:
        print("SKIP: no small file system can be mounted here:", os.strerror(ctypes.get_errno()))
        sys.exit()

    writer = Journal(folder / "journal.jsonl")
    reserve = folder / "reserve"
    assert reserve.stat().st_size == RESERVE_BYTES
    start = writer.append("start", run="a")
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass

    def refused():
        try:
            writer.append("start", run="b", source="x" * 5000)
        except DiskFull:
            return True

    assert refused()
    end = writer.append("end", reserved=True, run="a", outputs="y" * 5000)
    assert not reserve.exists()
    assert refused(), "the space that the reserve left is for ends alone"
    late = writer.append("end", reserved=True, run="c", outputs="y" * 5000)
    filler.unlink()
    after = writer.append("start", run="b")
    assert reserve.stat().st_size == RESERVE_BYTES, "a new reserve is made when there is room"
    writer.close()
    assert read(folder / "journal.jsonl").records == [start, end, late, after]
    print("good")
"""


def test_the_end_of_a_run_finds_room_on_a_full_disk(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL_DISK), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    if done.stdout.startswith("SKIP"):
        pytest.skip(done.stdout)
    assert done.stdout == "good\n", done.stderr


# Blobs


def test_long_strings_lie_in_blobs_and_come_back_as_they_were(tmp_path: Path) -> None:
    blobs = j.BlobStore(tmp_path / "blobs")
    value = {"data": {"image/png": "A" * 200_000, "text/plain": "short", "text/html": ["é" * 40_000]}}
    outside = j.externalize(value, blobs)
    assert len(j.encode({"seq": 0, **outside})) < 1000
    assert j.internalize(outside, blobs) == value
    assert len(list(blobs.folder.iterdir())) == 2


def test_a_blob_that_is_gone_says_so(tmp_path: Path) -> None:
    blobs = j.BlobStore(tmp_path)
    outside = j.externalize("A" * 200_000, blobs)
    (tmp_path / outside["$blob"]).unlink()
    assert "200000 bytes are missing" in j.internalize(outside, blobs)
    assert "200000 bytes are missing" in j.internalize(outside, None)


@SETTINGS
@given(
    st.recursive(
        ODD | st.just("L" * 70_000),
        lambda v: (
            st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(["$blob", "$plain", "bytes", "k"]), v, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_a_kernels_own_dollar_keys_name_no_blob(tmp_path_factory: Any, value: Any) -> None:
    blobs = j.BlobStore(tmp_path_factory.mktemp("b"))
    back = j.internalize(j.externalize(value, blobs), blobs)
    assert repr(back) == repr(value)


@pytest.mark.parametrize("name", ["../journal.jsonl", "", "A" * 64, "0" * 63, "/etc/passwd", "0" * 63 + "/"])
def test_only_a_digest_names_a_blob(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        j.BlobStore(tmp_path).get(name)


def test_storing_a_blob_again_writes_nothing(tmp_path: Path) -> None:
    blobs = j.BlobStore(tmp_path)
    first = (tmp_path / blobs.put(b"x" * 10)).stat()
    assert (tmp_path / blobs.put(b"x" * 10)).stat().st_mtime_ns == first.st_mtime_ns
    assert [p.name for p in tmp_path.iterdir()] == [blobs.put(b"x" * 10)]
