import struct

import pytest
from capturefile import ether, ipv4, ipv6, pcap, segment, tcp
from hypothesis import given
from hypothesis import strategies as st

from sensor.link import IPV4, IPV6
from sensor.slowpath import MOST_LAYERS, innermost

V4, V6 = ipv4(tcp(b"four")), ipv6(tcp(b"six"))
SNAP = b"\xaa\xaa\x03\0\0\0"


def labels(*numbers):
    return b"".join(
        struct.pack(">I", number << 12 | (place == len(numbers) - 1) << 8 | 64) for place, number in enumerate(numbers)
    )


def pppoe(payload, code=0):
    return struct.pack(">BBHH", 0x11, code, 5, len(payload)) + payload


@pytest.mark.parametrize(
    ("frame", "payload"),
    [
        (ether(SNAP + b"\x08\0" + V4, len(V4) + 8), b"four"),
        (ether(SNAP + b"\x86\xdd" + V6, len(V6) + 8), b"six"),
        (ether(b"\6\6\3" + V4, len(V4) + 3), b"four"),
        (ether(labels(16) + V4, 0x8847), b"four"),
        (ether(labels(16, 17, 18, 19, 20) + V6, 0x8848), b"six"),
        (ether(labels(16) + bytes(4) + ether(V4), 0x8847), b"four"),  # a pseudowire with its control word
        (ether(labels(16) + ether(V4), 0x8847), b"four"),  # without
        (ether(labels(16) + ether(V4, tags=[(0x8100, 3)]), 0x8847), b"four"),
        (ether(pppoe(b"\x00\x21" + V4), 0x8864), b"four"),
        (ether(pppoe(b"\x57" + V6), 0x8864), b"six"),
        (ether(pppoe(b"\x02\x81" + labels(99) + V4), 0x8864), b"four"),
        (ether(pppoe(b"\x00\x21" + V4), 0x8864, [(0x8100, 9)]), b"four"),
    ],
)
def test_layers(read, frame, payload):
    found = read(pcap([segment(b"before"), frame, segment(b"behind")]))
    assert found.payloads == [b"before", payload, b"behind"]
    assert found.counters == {}


def test_vlan_outside_is_kept(read):
    found = read(pcap([ether(pppoe(b"\x00\x21" + V4), 0x8864, [(0x8100, 9)])]))
    assert found.column("vlan") == [9]


@pytest.mark.parametrize(
    ("frame", "counter"),
    [
        (ether(SNAP + b"\x08\x06" + bytes(28), 36), "decode.arp"),
        (ether(pppoe(b"\xc0\x21" + bytes(20)), 0x8864), "decode.unknown_ethertype"),
        (ether(pppoe(b"", 0xA7), 0x8864), "decode.unknown_ethertype"),
        (ether(labels(1)[:3], 0x8847), "decode.mpls"),
        (ether(b"\x42\x42\x03" + bytes(35), 38), "decode.llc"),
        (ether(b"\xaa\xaa\x03\0", 4), "decode.llc"),
    ],
)
def test_what_holds_no_ip_is_counted(read, frame, counter):
    assert read(pcap([frame])).counters == {counter: 1}


def test_layers_have_an_end():
    kind, at = innermost(0x8847, struct.pack(">I", 5 << 12) * 60)
    assert kind == 0x8847
    assert at == 4 * MOST_LAYERS


def test_every_type_behind_snap():
    """dpkt has a class of its own behind many a number: none of them gets to see hostile bytes."""
    for number in range(0x10000):
        kind, at = innermost(40, SNAP + number.to_bytes(2, "big") + b"\xff" * 40)
        assert at >= 8 or kind == 40
        if kind in (IPV4, IPV6):
            assert number in (IPV4, IPV6, 0x8847, 0x8848, 0x8864, 0x880B, 0x6558, 0x8100, 0x88A8, 0x9100)


@given(st.sampled_from([40, 0x8847, 0x8848, 0x8864, 0x880B, 0x6558, 0x8100]), st.binary(max_size=80))
def test_any_bytes(kind, head):
    found, at = innermost(kind, head)
    assert isinstance(found, int)
    assert 0 <= at <= 16 * 20
