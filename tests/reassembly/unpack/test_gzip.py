"""gzip files, honest, broken and hostile, to the file inside; the other single-file compressions beside it."""

import bz2
import gzip
import lzma
import struct
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from reassembly.builder import Memory, Origin
from reassembly.events import Flow
from reassembly.limits import Limits
from reassembly.unpack import members

FLOW = Flow("f", b"\1\1\1\1", 1, b"\2\2\2\2", 80, "tcp", (), b"", b"", 0, "c.pcap", False)
TEXT = b"".join(b"%d bottles of beer\n" % n for n in range(2000))


def unpacked(content, name="a.txt.gz", **limits):
    memory = Memory(Limits(**limits))
    builder = Origin(FLOW, memory).open(1, "file", "http", 5, name=name)
    builder.write(content)
    found = list(members(builder.finish(9), memory))
    assert memory.held == 0
    return found


def only(content, name="a.txt.gz", **limits):
    (member,) = unpacked(content, name, **limits)
    return member


def plain(member):
    return bytes(member.content.view())


def with_header(flags, fields, content=TEXT):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(content) + packer.flush()
    return (
        b"\x1f\x8b\x08"
        + bytes((flags,))
        + bytes(6)
        + fields
        + packed
        + struct.pack("<II", zlib.crc32(content), len(content))
    )


PACKERS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor(write_content_size=False).compress,
}
each = pytest.mark.parametrize("suffix", PACKERS)


@each
@pytest.mark.parametrize("content", [b"", b"x", TEXT, bytes(1 << 20), bytes(range(256)) * 9000], ids=len)
def test_round_trip(suffix, content):
    member = only(PACKERS[suffix](content), "a.txt." + suffix)
    assert plain(member) == content
    assert (member.name, member.cut, member.findings, member.depth, member.kind) == ("a.txt", None, (), 1, "member")


@each
def test_truncated_at_each_offset(suffix):
    content = TEXT[:600]
    packed = PACKERS[suffix](content)
    for cut in range(1, len(packed)):
        for member in unpacked(packed[:cut], "a." + suffix):
            assert content.startswith(plain(member)), cut
            assert member.cut in ("truncated", "damaged"), cut


@each
def test_several_in_a_row_are_one_file(suffix):
    pack = PACKERS[suffix]
    member = only(pack(b"first ") + pack(TEXT) + pack(b" last"))
    assert plain(member) == b"first " + TEXT + b" last"
    assert member.complete


@each
def test_bombs_stop_at_the_limits(suffix):
    packed = PACKERS[suffix](bytes(8 << 20))
    cut = only(packed, decode_bytes=1 << 20)
    assert (cut.size, cut.cut) == (1 << 20, "limit:decode_bytes")
    cut = only(packed, unpack_bytes=1 << 19)
    assert (cut.size, cut.cut) == (1 << 19, "limit:unpack_bytes")
    cut = only(packed, decode_ratio=10, decode_free=1 << 18)
    assert cut.cut == "limit:decode_ratio"
    assert cut.size <= max(1 << 18, 10 * len(packed))


@each
def test_nested_ten_times_stops_at_the_depth(suffix):
    content = TEXT
    for _ in range(10):
        content = PACKERS[suffix](content)
    found = unpacked(content, unpack_depth=4)
    assert [member.cut for member in found] == [None, None, None, "limit:unpack_depth"]
    assert [member.depth for member in found] == [1, 2, 3, 4]


def test_every_field_of_the_header():
    fields = struct.pack("<H", 6) + b"extra!" + "näme.exe\0".encode("latin-1") + b"comment\0" + b"\0\0"
    member = only(with_header(4 | 8 | 16 | 2, fields))
    assert (member.name, plain(member), member.findings) == ("näme.exe", TEXT, ())


@pytest.mark.parametrize(
    ("name", "inner"),
    [("a.gz", "a"), ("a.tar.GZ", "a.tar"), ("a.tgz", "a.tar"), ("a.bin", None), ("a", None), (None, None)],
)
def test_name_without_fname(name, inner):
    assert only(gzip.compress(TEXT), name).name == inner


def test_name_without_end_is_no_name():
    assert [member.cut for member in unpacked(with_header(8, b"x" * 5000), None)] != [None]


def test_reserved_flags_are_a_finding():
    assert only(with_header(0x80, b"")).findings == ("gzip.reserved_flags",)


def test_trailing_garbage_is_a_finding():
    member = only(gzip.compress(TEXT) + b"garbage behind it")
    assert (plain(member), member.cut, member.findings) == (TEXT, None, ("gzip.trailing_data",))


@pytest.mark.parametrize("suffix", ["bz2", "xz", "zst"])
def test_trailing_garbage_of_the_others(suffix):
    member = only(PACKERS[suffix](TEXT) + b"garbage behind it", "a." + suffix)
    assert (plain(member), member.cut, member.findings) == (TEXT, None, ("unpack.trailing_data",))


def test_wrong_trailer_is_a_finding():
    content = bytearray(gzip.compress(TEXT))
    content[-8] ^= 1
    content[-1] ^= 1
    member = only(bytes(content))
    assert plain(member) == TEXT
    assert member.findings == ("gzip.bad_crc", "gzip.bad_length")


def test_only_a_header():
    member = only(gzip.compress(b"")[:9])
    assert (member.size, member.cut, member.findings) == (0, "truncated", ("gzip.bad_header",))


def test_damage_keeps_what_came_before():
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    content = packer.compress(TEXT) + packer.flush(zlib.Z_FULL_FLUSH) + b"\x07" + bytes(9000)
    member = only(content)
    assert plain(member) == TEXT
    assert member.cut == "damaged"


def test_an_archive_inside():
    found = unpacked(gzip.compress(gzip.compress(TEXT)), "a.txt.gz.gz")
    assert [(member.name, member.depth) for member in found] == [("a.txt.gz", 1), ("a.txt", 2)]


def test_not_a_container_gives_nothing():
    assert unpacked(TEXT) == []
    assert unpacked(b"") == []


@settings(max_examples=60)
@given(st.sampled_from(sorted(PACKERS)), st.data())
def test_any_change_of_an_honest_file(suffix, data):
    content = bytearray(PACKERS[suffix](TEXT[:500]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(3, len(content) - 1))] = data.draw(st.integers(0, 255))
    assert sum(member.size for member in unpacked(bytes(content), unpack_bytes=9000)) <= 9000


@given(st.sampled_from([b"\x1f\x8b\x08", b"BZh91AY&SY", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"]), st.binary(max_size=400))
def test_any_bytes_behind_a_mark(mark, tail):
    assert sum(member.size for member in unpacked(mark + tail, unpack_bytes=9000)) <= 9000


@pytest.mark.parametrize("limits", [{}, {"unpack_members": 1}, {"unpack_bytes": len(TEXT)}])
def test_the_short_way_gives_what_the_long_way_gives(limits, monkeypatch):
    """A whole file without oddities, and limits just wide enough."""
    content = with_header(8, b"inside.txt\0")
    short = only(content, **limits)
    monkeypatch.setattr("reassembly.unpack.gzip.decoded", lambda *_: None)
    long = only(content, **limits)
    names = [name for name in short.__slots__ if name not in ("content", "facts")]
    assert [getattr(short, name) for name in names] == [getattr(long, name) for name in names]
    assert plain(short) == plain(long) == TEXT
    assert short.name == "inside.txt"


@pytest.mark.parametrize("limits", [{"unpack_bytes": len(TEXT) - 1}, {"decode_bytes": len(TEXT) - 1}])
def test_without_room_the_long_way_cuts(limits):
    member = only(gzip.compress(TEXT), **limits)
    assert (member.size, member.cut) == (len(TEXT) - 1, f"limit:{next(iter(limits))}")
