"""tar archives of all the kinds that the standard library writes, and broken ones, to their members."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reassembly.builder import Memory, Origin
from reassembly.events import Flow
from reassembly.limits import Limits
from reassembly.unpack import members

FLOW = Flow("f", b"\1\1\1\1", 1, b"\2\2\2\2", 80, "tcp", (), b"", b"", 0, "c.pcap", False)
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def unpacked(content, **limits):
    memory = Memory(Limits(**limits))
    builder = Origin(FLOW, memory).open(1, "file", "http", 5)
    builder.write(content)
    return list(members(builder.finish(9), memory))


def tarred(*pairs, form=tarfile.GNU_FORMAT):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in pairs:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["a.txt", "folder/" + "long" * 20 + "/b.bin"])
def test_round_trip(form, name):
    pairs = [(name, b"content " * 200), ("empty", b""), ("exact", b"x" * 512)]
    found = unpacked(tarred(*pairs, form=form))
    assert [(member.name, bytes(member.content.view())) for member in found] == pairs
    assert all(member.complete for member in found)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_that_need_an_extension(form):
    name = "ü" + "x" * 300
    assert [member.name for member in unpacked(tarred((name, b"1"), ("b", b"2"), form=form))] == [name, "b"]


def test_truncated_at_each_block_offset():
    content = tarred(("a", b"first" * 200), ("b", b"second" * 200))
    for cut in range(600, len(content), 97):
        for member in unpacked(content[:cut]):
            whole = b"first" * 200 if member.name == "a" else b"second" * 200
            assert whole.startswith(bytes(member.content.view()))
            assert member.complete == (member.size == len(whole))


def test_member_limit():
    found = unpacked(tarred(*((str(n), b"x") for n in range(9))), unpack_members=3)
    assert [member.cut for member in found] == [None, None, None, "limit:unpack_members"]


def test_a_wrong_checksum_ends_it():
    content = bytearray(tarred(("a", b"1"), ("b", b"2")))
    second = content.index(b"b\0\0\0")
    content[second + 10] ^= 1
    assert [member.name for member in unpacked(bytes(content))] == ["a"]


def test_binary_and_absurd_sizes():
    content = bytearray(tarred(("a", b"1")))
    header = content[512:1024]
    header[124:136] = b"\x80" + b"\xff" * 11
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (member,) = unpacked(bytes(content[:512] + header + content[1024:]))
    assert member.cut == "truncated"
    assert member.size < len(content)


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), min_size=1, max_size=8))
def test_any_change_of_an_honest_archive(changes):
    content = bytearray(tarred(("a" * 120, b"1" * 600), ("b", b"2")))
    for at, value in changes:
        content[at] = value
    assert sum(member.size for member in unpacked(bytes(content), unpack_bytes=5000)) <= 5000
