import struct

import pytest
from capturefile import BEGAN, ether, internet_sum, ipv4, ipv6, pcap, tcp
from hypothesis import given
from hypothesis import strategies as st

from sensor.checksums import header_sum, tcp_checksum_ok


def right(payload, version, **more):
    """A TCP segment with its checksum, for the addresses that `ipv4` and `ipv6` have on their own."""
    bare = tcp(payload, **more)
    ends = bytes([10, 0, 0, 1, 10, 0, 0, 2]) if version == 4 else (1).to_bytes(16, "big") + (2).to_bytes(16, "big")
    return tcp(payload, sum_=internet_sum(ends + struct.pack(">II", len(bare), 6) + bare), **more)


def frame_of(transport, version):
    return ether(ipv4(transport)) if version == 4 else ether(ipv6(transport), 0x86DD)


@pytest.mark.parametrize("version", [4, 6])
@given(payload=st.binary(max_size=50), seq=st.integers(0, 0xFFFFFFFF))
def test_right_and_wrong(readers, version, payload, seq):
    good = right(payload, version, seq=seq)
    bad = good[:16] + struct.pack(">H", (int.from_bytes(good[16:18], "big") + 1) % 0xFFFF) + good[18:]
    (batch,) = readers(pcap([frame_of(good, version), frame_of(bad, version)])).batches
    assert tcp_checksum_ok(batch, 0)
    assert not tcp_checksum_ok(batch, 1)


def test_what_was_cut_off_cannot_be_told(read):
    frame = frame_of(tcp(b"wrong sum" * 9), 4)
    (batch,) = read(pcap([(BEGAN, frame[:80], len(frame)), (BEGAN, frame[:58], len(frame)), frame])).batches
    assert [tcp_checksum_ok(batch, row) for row in range(len(batch))] == [True, True, False]


@given(st.binary(min_size=20, max_size=60).filter(lambda header: len(header) % 4 == 0 and any(header)))
def test_header_sum(header):
    header = header[:10] + b"\0\0" + header[12:]
    assert header_sum(header) % 0xFFFF == internet_sum(header) % 0xFFFF
    assert internet_sum(header[:10] + struct.pack(">H", header_sum(header)) + header[12:]) == 0
