import struct

import pytest
from capturefile import BEGAN, MAC_A, MAC_B, ether, ipv4, ipv6, pcap, segment, tcp

from sensor.link import MOST_TAGS
from sensor.packets import macs

V4, V6 = ipv4(tcp(b"four")), ipv6(tcp(b"six"))


def cooked(kind, payload, address=MAC_A):
    return struct.pack(">HHH8sH", 0, 1, len(address), address, kind) + payload


def cooked2(kind, payload, address=MAC_A):
    return struct.pack(">HHIHBB8s", kind, 0, 3, 1, 0, len(address), address) + payload


@pytest.mark.parametrize(
    ("link", "four", "six"),
    [
        (1, ether(V4), ether(V6, 0x86DD)),
        (113, cooked(0x0800, V4), cooked(0x86DD, V6)),
        (276, cooked2(0x0800, V4), cooked2(0x86DD, V6)),
        (101, V4, V6),
        (12, V4, V6),
        (14, V4, V6),
        (0, struct.pack("<I", 2) + V4, struct.pack("<I", 30) + V6),
        (0, struct.pack(">I", 2) + V4, struct.pack(">I", 24) + V6),
        (0, struct.pack("<I", 2) + V4, struct.pack("<I", 10) + V6),
        (108, struct.pack(">I", 2) + V4, struct.pack(">I", 28) + V6),
        (9, b"\xff\x03\x00\x21" + V4, b"\xff\x03\x00\x57" + V6),
        (9, b"\x21" + V4, b"\x00\x57" + V6),
        (50, b"\xff\x03\x00\x21" + V4, b"\xff\x03\x57" + V6),
        (104, b"\x0f\x00\x08\x00" + V4, b"\x8f\x00\x86\xdd" + V6),
    ],
)
def test_link_types(read, link, four, six):
    found = read(pcap([four, six, four], link=link))
    assert found.payloads == [b"four", b"six", b"four"]
    assert found.counters == {}
    assert {batch.link for batch in found.batches} == {link}


@pytest.mark.parametrize(("link", "frame"), [(228, V4), (229, V6)])
def test_raw_of_one_version(read, link, frame):
    assert len(read(pcap([frame], link=link)).payloads) == 1


@pytest.mark.parametrize(("link", "frame"), [(228, V6), (229, V4), (1, ether(V6)), (1, ether(V4, 0x86DD))])
def test_header_of_another_version_than_said(read, link, frame):
    found = read(pcap([frame], link=link))
    assert found.payloads == []
    assert found.counters == {"ip.wrong_version": 1}


def test_length_field_of_zero_is_no_ip(read):
    assert read(pcap([ether(V4, 0)])).counters == {"decode.llc": 1}


def test_unknown_link_type(read):
    found = read(pcap([V4, V4], link=195))
    assert found.counters == {"decode.unknown_link": 2}


def test_unknown_address_family(read):
    assert read(pcap([struct.pack("<I", 77) + V4], link=0)).counters == {"decode.unknown_ethertype": 1}


Q, AD, OLD = 0x8100, 0x88A8, 0x9100


@pytest.mark.parametrize(
    ("tags", "vlan"),
    [
        ([], 0),
        ([(Q, 5)], 5),
        ([(Q, 0xE005)], 5),  # priority bits
        ([(Q, 0), (Q, 7)], 7 << 12),
        ([(AD, 100), (Q, 200)], 100 | 200 << 12),
        ([(OLD, 1), (Q, 2)], 1 | 2 << 12),
        ([(Q, 3), (Q, 4), (Q, 5)], 3 | 4 << 12),
        ([(Q, 9)] * MOST_TAGS, 9 | 9 << 12),
    ],
)
@pytest.mark.parametrize(("kind", "packet"), [(0x0800, V4), (0x86DD, V6)])
def test_vlan(read, tags, vlan, kind, packet):
    found = read(pcap([ether(packet, kind, tags), segment(b"x")]))
    assert found.column("vlan") == [vlan, 0]
    assert found.counters == {}


def test_too_many_tags(read):
    found = read(pcap([ether(V4, tags=[(Q, 1)] * (MOST_TAGS + 1))]))
    assert found.counters == {"decode.vlan_tags": 1}


def test_tags_behind_a_cooked_header(read):
    found = read(pcap([cooked(Q, struct.pack(">HH", 42, 0x0800) + V4)], link=113))
    assert found.column("vlan") == [42]


@pytest.mark.parametrize("size", range(0, 14))
def test_frame_cut_in_its_link_header(read, size):
    found = read(pcap([(BEGAN, segment()[:size], len(segment())), segment(b"next")]))
    assert found.payloads == [b"next"]


def test_tag_cut_off(read):
    frame = ether(V4, tags=[(Q, 1)])
    found = read(pcap([(BEGAN, frame[:15], len(frame)), segment(b"next")]))
    assert found.payloads == [b"next"]
    assert found.counters == {"decode.vlan_tags": 1}


@pytest.mark.parametrize(
    ("link", "frame", "expected"),
    [
        (1, ether(V4), (MAC_A, MAC_B)),
        (113, cooked(0x0800, V4), (MAC_A, b"")),
        (113, cooked(0x0800, V4, b""), (b"", b"")),
        (276, cooked2(0x0800, V4), (MAC_A, b"")),
        (101, V4, (b"", b"")),
    ],
)
def test_macs(read, link, frame, expected):
    (batch,) = read(pcap([frame], link=link)).batches
    assert macs(batch, 0) == expected
