import struct

import pytest
from capturefile import BEGAN, BIG, LITTLE, pcap, segment
from hypothesis import given
from hypothesis import strategies as st

from sensor.pcap import is_pcap
from sensor.records import LONGEST_RECORD


@pytest.mark.parametrize("order", [LITTLE, BIG])
@pytest.mark.parametrize(("unit", "record"), [("us", 16), ("ns", 16), ("us", 24)])
def test_variants(read, order, unit, record):
    time = BEGAN + 123_456_789
    found = read(pcap([(time, segment(b"one")), (time + 1000, segment(b"two"))], order, unit, record=record))
    assert found.payloads == [b"one", b"two"]
    first = time if unit == "ns" else time // 1000 * 1000
    assert found.column("time") == [first, first + 1000]
    assert found.capture.packets == 2
    assert found.capture.bytes == 2 * len(segment(b"one"))
    assert found.capture.warnings == []


def test_link_type_is_the_lower_half(read):
    assert read(pcap([segment(b"x")], link=0x24000001)).payloads == [b"x"]


@given(st.integers(0, 600))
def test_any_cut_gives_a_prefix(readers, cut):
    frames = [segment(bytes([65 + number]) * 40) for number in range(6)]
    whole = pcap(frames)
    cut = 24 + cut % (len(whole) - 24)
    found = readers(whole[:cut])
    count = (cut - 24) // (16 + len(frames[0]))
    assert found.payloads == [bytes([65 + number]) * 40 for number in range(count)]
    rest = (cut - 24) % (16 + len(frames[0]))
    assert found.capture.warnings == (
        [f"cut off: {rest} bytes of the last record are there, not all of it"] if rest else []
    )


@pytest.mark.parametrize("batch_bytes", [1, 7, 100, 1000, 1 << 20])
def test_batch_size_makes_no_difference(read, batch_bytes):
    payloads = [bytes([number]) * (number * 13 % 97) for number in range(50)]
    found = read(pcap([segment(payload) for payload in payloads]), batch_bytes=batch_bytes)
    assert found.payloads == payloads
    assert found.column("time") == sorted(found.column("time"))


def test_absurd_record_ends_the_file_and_costs_no_memory(read):
    absurd = struct.pack("<IIII", 1, 1, 0xFFFFFFF0, 0xFFFFFFF0)
    found = read(pcap([segment(b"good")]) + absurd + b"x" * 1000)
    assert found.payloads == [b"good"]
    assert found.capture.warnings == ["damaged: a record claims 4294967280 bytes; nothing behind it can be read"]


def test_absurd_record_across_batches(read):
    absurd = struct.pack("<IIII", 1, 1, LONGEST_RECORD + 1, 0)
    found = read(pcap([segment(b"good")] * 3) + absurd + b"x" * 1000, batch_bytes=100)
    assert found.payloads == [b"good"] * 3
    assert "damaged" in found.capture.warnings[0]


def test_zero_length_records(read):
    found = read(pcap([b"", segment(b"a"), b"", b"", segment(b"b"), b"", b"", b""]))
    assert found.payloads == [b"a", b"b"]
    assert found.capture.packets == 8
    assert found.capture.warnings == []


def test_snap_length_is_told(read):
    frame = segment(b"x" * 100)
    found = read(pcap([(BEGAN, frame[:94], len(frame)), (BEGAN, frame)]))
    assert found.column("length") == [40, 100]
    assert found.column("wire_length") == [100, 100]
    assert found.capture.warnings == ["1 of 2 packets were not captured whole (snap length): 60 bytes are lost"]
    assert found.capture.bytes == 2 * len(frame)


def test_wire_shorter_than_captured_is_no_cut(read):
    frame = segment(b"x" * 100)
    found = read(pcap([(BEGAN, frame, 10)]))
    assert found.payloads == [b"x" * 100]
    assert found.capture.warnings == []


def test_magic():
    assert is_pcap(bytes.fromhex("d4c3b2a1"))
    assert is_pcap(bytes.fromhex("a1b23c4d"))
    assert not is_pcap(b"")
    assert not is_pcap(b"\n\r\r\n")
