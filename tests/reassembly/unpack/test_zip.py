"""Zip files made by the standard library and by hand, honest, broken and hostile, to their members."""

import io
import struct
import time
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reassembly.builder import Memory, Origin
from reassembly.events import Flow
from reassembly.limits import Limits
from reassembly.unpack import members

FLOW = Flow("f", b"\1\1\1\1", 1, b"\2\2\2\2", 80, "tcp", (), b"", b"", 0, "c.pcap", False)
TEXT = b"".join(b"%d bottles of beer\n" % n for n in range(2000))


def container(content, name="a.zip", **limits):
    memory = Memory(Limits(**limits))
    builder = Origin(FLOW, memory).open(1, "file", "http", 5, name=name, facts={"url.path": "/a.zip"})
    builder.write(content)
    return builder.finish(9), memory


def unpacked(content, name="a.zip", **limits):
    target, memory = container(content, name, **limits)
    found = list(members(target, memory))
    assert memory.held == 0
    return found


def seen(content, **limits):
    return [(member.name, bytes(member.content.view())) for member in unpacked(content, **limits)]


def zipped(*pairs, method=zipfile.ZIP_DEFLATED):
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", method) as archive:
            for name, content in pairs:
                archive.writestr(name, content)
        return file.getvalue()


def local(name, packed, *, flags=0, method=0, crc=0, size=None, claimed=None):
    size = len(packed) if size is None else size
    claimed = len(packed) if claimed is None else claimed
    return (
        struct.pack("<4s5H3I2H", b"PK\3\4", 20, flags, method, 0, 0, crc, claimed, size, len(name), 0) + name + packed
    )


def central(name, offset, packed, *, flags=0, method=0, crc=0, size=None):
    size = packed if size is None else size
    return (
        struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", 20, 20, flags, method, 0, 0, crc, packed, size, len(name), 0, 0, 0, 0, 0, offset
        )
        + name
    )


def end(count, size, offset):
    return struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, size, offset, 0)


def deflated(content):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_round_trip(method):
    pairs = [("a.txt", TEXT), ("dir/b.bin", bytes(range(256)) * 9), ("empty", b""), ("größe.txt", b"x")]
    assert seen(zipped(*pairs, method=method)) == pairs


def test_members_tell_where_they_come_from():
    target, memory = container(zipped(("a.txt", TEXT)))
    (member,) = members(target, memory)
    assert (member.kind, member.parent, member.depth, member.direction) == ("member", target.id, 1, 1)
    assert (member.protocol, member.flow, member.began, member.time) == ("http", FLOW, 5, 9)
    assert member.complete
    assert member.findings == ()
    assert member.mime_type == "text/plain"
    assert member.facts == {"url.path": "/a.zip"}


def test_ids_are_stable_and_different():
    content = zipped(("a", b"1"), ("b", b"2"))
    first, second = unpacked(content), unpacked(content)
    assert [member.id for member in first] == [member.id for member in second]
    assert len({member.id for member in first}) == 2


def test_directories_are_no_members():
    assert seen(zipped(("d/", b""), ("d/a", b"x"))) == [("d/a", b"x")]


def test_bytes_before_the_archive():
    assert seen(b"MZ" + b"\0" * 1000 + zipped(("a", TEXT), ("b", b"2"))) == [("a", TEXT), ("b", b"2")]


def test_streamed_by_a_writer_that_cannot_seek():
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.content = b""

        def writable(self):
            return True

        def write(self, data):
            self.content += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", TEXT)
        archive.writestr("b", b"2")
    assert seen(pipe.content) == [("a", TEXT), ("b", b"2")]
    assert not any(member.findings for member in unpacked(pipe.content))
    directory = pipe.content.index(b"PK\1\2")
    assert seen(pipe.content[:directory]) == [("a", TEXT), ("b", b"2")]


@pytest.mark.parametrize("cut", [100, 1000, 3000])
def test_without_the_directory_the_local_headers_lead(cut):
    content = zipped(("a", TEXT), ("b", b"2"))
    (member, *_) = unpacked(content[:cut])
    assert member.name == "a"
    assert member.cut == "truncated"
    assert "zip.no_directory" in member.findings
    assert TEXT.startswith(bytes(member.content.view()))


def test_truncated_at_each_offset_never_invents_bytes():
    content = zipped(("a", b"first " * 30), ("b", b"second " * 30))
    for cut in range(len(content)):
        for name, found in seen(content[:cut]):
            assert (b"first " * 30 if name == "a" else b"second " * 30).startswith(found) or not found


def test_a_member_that_no_directory_lists():
    hidden = local(b"hidden", b"evil", crc=zlib.crc32(b"evil"))
    listed = local(b"listed", b"good", crc=zlib.crc32(b"good"))
    directory = central(b"listed", len(hidden), 4, crc=zlib.crc32(b"good"))
    content = hidden + listed + directory + end(1, len(directory), len(hidden) + len(listed))
    assert seen(content) == [("listed", b"good"), ("hidden", b"evil")]
    assert unpacked(content)[1].findings == ("zip.unlisted_member",)


def test_two_archives_in_a_row_show_both():
    both = zipped(("one", b"1" * 50)) + zipped(("two", b"2" * 50))
    assert sorted(seen(both)) == [("one", b"1" * 50), ("two", b"2" * 50)]


def test_headers_that_disagree_give_both_readings():
    packed = deflated(b"what is executed")
    entry = local(b"a", packed, method=8, crc=zlib.crc32(b"what is executed"))
    directory = central(b"a", 0, len(packed), method=0, crc=zlib.crc32(packed))
    content = entry + directory + end(1, len(directory), len(entry))
    assert seen(content) == [("a", packed), ("a", b"what is executed")]
    assert all("zip.header_mismatch" in member.findings for member in unpacked(content))


def test_headers_that_disagree_in_size():
    entry = local(b"a", b"harmless, and then some", claimed=23, crc=1)
    directory = central(b"a", 0, 8, crc=2)
    content = entry + directory + end(1, len(directory), len(entry))
    assert seen(content) == [("a", b"harmless"), ("a", b"harmless, and then some")]


def test_encrypted_members_are_named():
    entry = local(b"secret.exe", b"\x12" * 40, flags=1, method=8, crc=1)
    directory = central(b"secret.exe", 0, 40, flags=1, method=8, crc=1)
    (member,) = unpacked(entry + directory + end(1, len(directory), len(entry)))
    assert (member.name, member.size, member.cut, member.findings) == ("secret.exe", 0, "encrypted", ("zip.encrypted",))
    assert not member.complete


def test_pretended_encryption_is_seen_through():
    packed, crc = deflated(TEXT), zlib.crc32(TEXT)
    entry = local(b"a", packed, flags=1, method=8, crc=crc)
    directory = central(b"a", 0, len(packed), flags=1, method=8, crc=crc)
    assert seen(entry + directory + end(1, len(directory), len(entry))) == [("a", TEXT)]


def test_unknown_methods_are_named():
    entry = local(b"a", b"????", method=9, crc=1)
    directory = central(b"a", 0, 4, method=9, crc=1)
    (member,) = unpacked(entry + directory + end(1, len(directory), len(entry)))
    assert (member.name, member.size, member.cut) == ("a", 0, "unsupported")


def test_a_bad_checksum_is_a_finding():
    content = zipped(("a", TEXT), method=zipfile.ZIP_STORED)
    spoilt = content.replace(b"99 bottles", b"98 bottles", 1)
    (member,) = unpacked(spoilt)
    assert member.findings == ("zip.bad_crc",)
    assert member.size == len(TEXT)


def test_damaged_data_give_what_came_before():
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(TEXT) + packer.flush(zlib.Z_FULL_FLUSH) + b"\x07"  # BTYPE 3 is reserved (RFC 1951, 3.2.3)
    (member,) = unpacked(local(b"a", packed, method=8, crc=1))
    assert member.cut == "damaged"
    assert bytes(member.content.view()) == TEXT


def test_lone_directory_entry_without_data():
    directory = central(b"gone", 1 << 20, 4)
    content = zipped(("a", b"1"))
    at = content.index(b"PK\1\2")
    size = content.index(b"PK\5\6") - at
    (first, second) = unpacked(content[:at] + content[at : at + size] + directory + end(2, size + len(directory), at))
    assert first.name == "a"
    assert (second.name, second.findings) == ("gone", ("zip.no_local_header",))


def test_zip64_sizes_and_offsets():
    extra = struct.pack("<HHQQQ", 1, 24, 4, 4, 0)
    record = bytearray(central(b"a", 0xFFFFFFFF, 0xFFFFFFFF, crc=zlib.crc32(b"data")))
    record[30:32] = struct.pack("<H", len(extra))
    directory = bytes(record) + extra
    entry = local(b"a", b"data", crc=zlib.crc32(b"data"))
    at = len(entry)
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(directory), at)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, at + len(directory), 1)
    content = entry + directory + end64 + locator + end(1, 0xFFFFFFFF, 0xFFFFFFFF)
    assert zipfile.ZipFile(io.BytesIO(content)).read("a") == b"data"
    assert seen(content) == [("a", b"data")]
    assert unpacked(content)[0].findings == ()


def test_names_that_are_no_utf8_are_code_page_437():
    entry = local(b"caf\x82", b"x", crc=zlib.crc32(b"x"))
    assert seen(entry) == [("caf\u00e9", b"x")]


@pytest.mark.parametrize("name", ["/etc/passwd", "..\\..\\evil.exe", "a\0b"])
def test_names_are_only_names(name):
    raw = name.encode()
    assert seen(local(raw, b"x", crc=zlib.crc32(b"x"))) == [(name, b"x")]


def test_nested_archives_come_depth_first():
    inner = zipped(("deep.txt", b"deep"))
    content = zipped(("inner.zip", inner), ("last.txt", b"last"))
    found = unpacked(content)
    assert [(member.name, member.depth) for member in found] == [("inner.zip", 1), ("deep.txt", 2), ("last.txt", 1)]
    assert found[1].parent == found[0].id


def test_depth_limit_stands_on_the_closed_archive():
    content = zipped(("x.txt", b"x"))
    for level in range(6):
        content = zipped((f"{level}.zip", content))
    found = unpacked(content, unpack_depth=3)
    assert [(member.name, member.cut) for member in found] == [
        ("5.zip", None), ("4.zip", None), ("3.zip", "limit:unpack_depth"),
    ]  # fmt: skip


def test_member_limit_leaves_one_that_says_so():
    content = zipped(*((f"{n}", b"x") for n in range(20)))
    target, memory = container(content, unpack_members=5)
    found = list(members(target, memory))
    assert [member.cut for member in found] == [None] * 5 + ["limit:unpack_members"]
    assert found[-1].name == "5"
    assert found[-1].size == 0
    assert memory.counters["unpack_members"] == 1


def test_byte_limit_binds_all_levels_together():
    layer = zipped(*((f"{n}", bytes(100_000)) for n in range(10)))
    for _ in range(2):
        layer = zipped(*((f"{n}.zip", layer) for n in range(10)))
    found = unpacked(layer, unpack_bytes=1_000_000)
    assert sum(member.size for member in found) <= 1_000_000
    assert any(member.cut == "limit:unpack_bytes" for member in found)


def test_total_members_bind_all_levels_together():
    layer = zipped(*((f"{n}", b"x") for n in range(30)))
    layer = zipped(*((f"{n}.zip", layer) for n in range(30)))
    found = unpacked(layer, unpack_total=100)
    assert len(found) < 140
    assert any(member.cut == "limit:unpack_total" for member in found)


def overlapping(count, kernel):
    """Members that all use the same data: the simplest of the bombs without nesting."""
    packed = deflated(kernel)
    crc = zlib.crc32(kernel)
    entry = local(b"a", packed, method=8, crc=crc, size=len(kernel))
    directory = b"".join(central(b"%d" % n, 0, len(packed), method=8, crc=crc, size=len(kernel)) for n in range(count))
    return entry + directory + end(count, len(directory), len(entry))


def test_overlapping_members_stop_at_the_ratio():
    content = overlapping(2000, bytes(1 << 20))
    found = unpacked(content, decode_ratio=50, decode_free=0)
    assert sum(member.size for member in found) <= 50 * len(content)
    assert "zip.overlap" in found[1].findings
    assert found[-1].cut == "limit:decode_ratio"


def test_one_large_member_is_cut_at_its_limit():
    (member,) = unpacked(zipped(("zeros", bytes(3 << 20))), decode_bytes=1 << 20)
    assert member.size == 1 << 20
    assert member.cut == "limit:decode_bytes"


def test_an_archive_with_a_hole_passes_its_reason_on():
    memory = Memory(Limits())
    content = zipped(("a", bytes(range(256)) * 4000))
    builder = Origin(FLOW, memory).open(1, "file", "http", 5)
    builder.write(content[:2000])
    builder.gap(500)
    builder.write(content[2500:])
    (member, *_) = members(builder.finish(9), memory)
    assert member.cut == "gap"
    assert not member.complete


def test_large_members_go_to_a_file():
    content = zipped(("a", bytes(range(256)) * 1000))
    target, memory = container(content, object_memory=1000)
    (member,) = members(target, memory)
    assert target.content.memory is None
    assert member.content.memory is None
    assert bytes(member.content.view()) == bytes(range(256)) * 1000


@given(st.binary(max_size=600))
def test_any_bytes_behind_a_mark(tail):
    for content in (b"PK\3\4" + tail, tail + end(1, 46, 0), local(b"a", tail, method=8), local(b"b", tail, flags=8)):
        assert sum(member.size for member in unpacked(content, unpack_bytes=10_000)) <= 10_000


@settings(max_examples=150)
@given(st.data())
def test_any_change_of_an_honest_archive(data):
    content = bytearray(zipped(("a", TEXT[:300]), ("b", b"x" * 100), ("c.zip", zipped(("d", b"deep")))))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    found = unpacked(bytes(content), unpack_bytes=50_000)
    assert sum(member.size for member in found) <= 50_000


HEADER = local(b"a", b"", flags=8, method=8, claimed=0)


@pytest.mark.parametrize(
    "content",
    [
        b"PK\3\4" * 200_000,
        local(b"a", b"", flags=8, claimed=0) * 20_000,
        (HEADER + b"\7") * 20_000,
        (HEADER + b"\0" + struct.pack("<HH", len(HEADER), 0xFFFF ^ len(HEADER))) * 3000,
    ],
    ids=["marks", "stored headers", "damaged data", "headers quoted by headers"],
)
def test_what_is_made_to_take_long_does_not(content):
    target, memory = container(content)
    began = time.process_time()
    assert sum(member.size for member in members(target, memory)) <= len(content) * 3000
    assert time.process_time() - began < 10
