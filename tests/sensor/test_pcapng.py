import struct
from itertools import pairwise

import pytest
from capturefile import (
    BEGAN,
    BIG,
    LITTLE,
    block,
    enhanced,
    interface,
    ipv4,
    old_packet,
    pcapng,
    section,
    segment,
    simple,
    tcp,
)
from hypothesis import given
from hypothesis import strategies as st

from sensor.pcapng import MOST_INTERFACES

TICKS = BEGAN // 1000  # microseconds


@pytest.mark.parametrize("order", [LITTLE, BIG])
def test_byte_orders(read, order):
    found = read(pcapng([segment(b"one"), segment(b"three")], order))
    assert found.payloads == [b"one", b"three"]
    assert found.column("time") == [BEGAN, BEGAN + 1_000_000]
    assert found.capture.warnings == []


def test_several_sections_of_both_orders(read):
    data = b"".join(
        pcapng([segment(payload)], order) for payload, order in ((b"a", LITTLE), (b"b", BIG), (b"c", LITTLE))
    )
    assert read(data).payloads == [b"a", b"b", b"c"]
    assert read(data, batch_bytes=30).payloads == [b"a", b"b", b"c"]


@pytest.mark.parametrize("order", [LITTLE, BIG])
def test_every_kind_of_packet_block(read, order):
    data = section(order) + interface(order=order)
    data += simple(segment(b"s0"), order=order) + enhanced(TICKS, segment(b"e"), order=order)
    data += simple(segment(b"s1"), order=order) + old_packet(TICKS + 5, segment(b"old"), order=order)
    data += block(0xBAD, b"passed over" * 9, order) + simple(segment(b"s2"), order=order)
    found = read(data)
    assert found.payloads == [b"s0", b"e", b"s1", b"old", b"s2"]
    assert found.column("time") == [0, BEGAN, BEGAN, BEGAN + 5000, BEGAN + 5000]


def test_time_of_simple_packets_goes_over_batches(read):
    data = section() + interface() + enhanced(TICKS, segment(b"e")) + simple(segment(b"s")) * 20
    assert set(read(data, batch_bytes=150).column("time")) == {BEGAN}


def test_simple_packet_is_cut_at_the_snap_length(read):
    frame = segment(b"x" * 100)
    data = section() + interface(snap=94) + simple(frame[:94], len(frame))
    found = read(data)
    assert found.column("length") == [40]
    assert found.column("wire_length") == [100]


@pytest.mark.parametrize(
    ("resolution", "ticks", "nanoseconds"),
    [
        (6, 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (9, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (3, 1_700_000_000_123, 1_700_000_000_123_000_000),
        (0, 1_700_000_000, 1_700_000_000_000_000_000),
        (10, 17_000_000_001_234_567_891, 1_700_000_000_123_456_789),
        (127, 17, 0),
        (0x80 | 10, 1_700_000_000 << 10 | 512, 1_700_000_000_500_000_000),
        (0x80 | 30, 1_700_000_000 << 30 | 1 << 29, 1_700_000_000_500_000_000),
        (0x80 | 33, 1_700_000_000 << 33 | 1 << 31, 1_700_000_000_250_000_000),
        (0x80 | 0, 1_700_000_000, 1_700_000_000_000_000_000),
        (0xFF, 1_700_000_000, 0),
    ],
)
def test_resolutions(read, resolution, ticks, nanoseconds):
    data = section() + interface(resolution=resolution) + enhanced(ticks, segment())
    assert read(data).column("time") == [nanoseconds]


def test_time_offset(read):
    data = section() + interface(offset=1_600_000_000, resolution=9) + enhanced(5, segment())
    assert read(data).column("time") == [1_600_000_000_000_000_005]


def test_interfaces_have_their_own_link_type_and_resolution(read):
    raw = ipv4(tcp(b"raw"))
    data = section() + interface(1) + interface(101, resolution=9)
    data += enhanced(TICKS, segment(b"a")) + enhanced(BEGAN + 7, raw, 1) + enhanced(TICKS + 1, segment(b"b"))
    found = read(data)
    assert found.payloads == [b"a", b"raw", b"b"]
    assert [batch.link for batch in found.batches] == [1, 101, 1]
    assert found.column("time") == [BEGAN, BEGAN + 7, BEGAN + 1000]


def test_link_types_to_and_fro_make_one_batch_each(read):
    data = section() + interface(1) + interface(101)
    data += b"".join(enhanced(TICKS, segment(b"a")) + enhanced(TICKS, ipv4(tcp(b"raw")), 1) for _ in range(100))
    found = read(data)
    assert sorted((batch.link, len(batch)) for batch in found.batches) == [(1, 100), (101, 100)]


def test_unknown_link_type_is_counted_and_the_others_decoded(read):
    data = section() + interface(1) + interface(147) + enhanced(TICKS, b"?" * 60, 1) + enhanced(TICKS, segment(b"a"))
    found = read(data)
    assert found.payloads == [b"a"]
    assert found.counters == {"decode.unknown_link": 1}


def test_packet_without_its_interface_is_counted(read):
    found = read(section() + interface() + enhanced(TICKS, segment(), 3) + enhanced(TICKS, segment(b"a")))
    assert found.payloads == [b"a"]
    assert found.counters == {"pcapng.bad_block": 1}


def test_captured_length_ends_with_the_block(read):
    frame = segment(b"y" * 60)
    lying = struct.pack("<IIIII", 0, TICKS >> 32, TICKS & 0xFFFFFFFF, 0x7FFFFFFF, len(frame)) + frame
    lying += bytes(-len(frame) % 4)
    found = read(section() + interface() + block(6, lying) + enhanced(TICKS, segment(b"next")))
    assert found.payloads == [b"y" * 60, b"next"]


def test_too_many_interfaces_are_ignored(read):
    found = read(section() + interface() * (MOST_INTERFACES + 2) + enhanced(TICKS, segment(b"a")))
    assert found.payloads == [b"a"]
    assert found.counters == {"pcapng.interface_ignored": 2}


@pytest.mark.parametrize("length", [0, 4, 11, 13, 30])
def test_impossible_block_length_ends_the_file(read, length):
    found = read(pcapng([segment(b"a")]) + struct.pack("<II", 6, length) + bytes(100))
    assert found.payloads == [b"a"]
    assert found.capture.warnings == [f"damaged: a block claims {length} bytes; nothing behind it can be read"]


def test_section_without_magic_ends_the_file(read):
    found = read(pcapng([segment(b"a")]) + block(0x0A0D0D0A, b"no magic here..."))
    assert found.payloads == [b"a"]
    assert "byte-order magic" in found.capture.warnings[0]


def test_huge_unknown_block_is_passed_over_unread(read):
    data = pcapng([segment(b"a")]) + block(0xBAD, bytes(3_000_000)) + enhanced(TICKS, segment(b"b"))
    assert read(data, batch_bytes=1000).payloads == [b"a", b"b"]


def test_absurd_packet_block_is_passed_over(read):
    data = pcapng([segment(b"a")]) + block(6, bytes(3_000_000)) + enhanced(TICKS, segment(b"b"))
    found = read(data, batch_bytes=1000)
    assert found.payloads == [b"a", b"b"]
    assert found.counters == {"pcapng.absurd_block": 1}


def test_block_beyond_the_end_is_told(read):
    found = read(pcapng([segment(b"a")]) + struct.pack("<II", 0xBAD, 4_000_000_000) + bytes(40))
    assert found.payloads == [b"a"]
    assert found.capture.warnings == [f"cut off: the last block lacks {4_000_000_000 - 48} bytes"]


@given(st.integers(0, 10_000), st.integers(1, 400))
def test_any_cut_gives_a_prefix(readers, cut, batch_bytes):
    starts = [len(section() + interface())]
    whole = section() + interface()
    for number in range(6):
        whole += enhanced(TICKS, segment(bytes([65 + number]) * 40))
        starts.append(len(whole))
    cut = 28 + cut % (len(whole) - 28)
    found = readers(whole[:cut], batch_bytes=batch_bytes)
    count = sum(end <= cut for _, end in pairwise(starts))
    assert found.payloads == [bytes([65 + number]) * 40 for number in range(count)]
    assert bool(found.capture.warnings) == (cut not in (28, *starts))
