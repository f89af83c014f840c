import struct

import pytest
from capturefile import ether, ipv4, ipv6, pcap, segment, tcp, udp
from hypothesis import given
from hypothesis import strategies as st

from sensor.tunnels import MOST_TUNNELS

V4, V6 = ipv4(tcp(b"four"), "192.168.0.1", "192.168.0.2"), ipv6(tcp(b"six"), 5, 6)
ETHERNET, ERSPAN, ERSPAN_3, PPP, MPLS = 0x6558, 0x88BE, 0x22EB, 0x880B, 0x8847


def gre(kind, payload, flags=0, fields=b""):
    return ipv4(struct.pack(">HH", flags, kind) + fields + payload, protocol=47)


def vxlan(payload, head=b"\x08\0\0\0\0\0\x05\0", port=4789):
    return ipv4(udp(head + payload, dport=port), protocol=17)


def gtp(payload, flags=0x30, kind=0xFF, more=b""):
    return ipv4(
        udp(struct.pack(">BBHI", flags, kind, len(more + payload), 7) + more + payload, dport=2152), protocol=17
    )


def datagram(payload, dport, sport=40000):
    return ipv4(udp(payload, sport=sport, dport=dport), protocol=17)


AYIYA = b"\x44\x52\x11\x29" + bytes(4) + bytes(16) + bytes(20)
TEREDO = b"\0\1\2\1" + bytes(3 + 9)

TUNNELS = {
    "ip in ip": (ipv4(V4, protocol=4), b"four"),
    "ip6 in ip": (ipv4(V6, protocol=41), b"six"),
    "ip in ip6": (ipv6(V4, following=4), b"four"),
    "ip6 in ip6": (ipv6(V6, following=41), b"six"),
    "gre": (gre(0x0800, V4), b"four"),
    "gre ip6": (gre(0x86DD, V6), b"six"),
    "gre with all fields": (gre(0x0800, V4, 0xB000, bytes(12)), b"four"),
    "gre ethernet": (gre(ETHERNET, ether(V4, tags=[(0x8100, 5)]), 0x2000, bytes(4)), b"four"),
    "gre mpls": (gre(MPLS, struct.pack(">I", 16 << 12 | 0x140) + V4), b"four"),
    "pptp": (gre(PPP, b"\xff\x03\x00\x21" + V4, 0x3081, bytes(12)), b"four"),
    "pptp without acknowledgment": (gre(PPP, b"\x00\x57" + V6, 0x3001, bytes(8)), b"six"),
    "erspan 1": (gre(ERSPAN, ether(V4)), b"four"),
    "erspan 2": (gre(ERSPAN, bytes(8) + ether(V4), 0x1000, bytes(4)), b"four"),
    "erspan 3": (gre(ERSPAN_3, b"\x20" + bytes(11) + ether(V4), 0x1000, bytes(4)), b"four"),
    "erspan 3 of a platform": (gre(ERSPAN_3, b"\x20" + bytes(10) + b"\1" + bytes(8) + ether(V4)), b"four"),
    "vxlan": (vxlan(ether(V4)), b"four"),
    "vxlan of linux": (vxlan(ether(V6, 0x86DD), port=8472), b"six"),
    "vxlan with a group": (vxlan(ether(V4), b"\x88\0\0\7\0\0\5\0"), b"four"),
    "vxlan gpe": (vxlan(ether(V4), b"\x0c\0\0\3\0\0\5\0", 4790), b"four"),
    "vxlan gpe ip": (vxlan(V4, b"\x0c\0\0\1\0\0\5\0", 4790), b"four"),
    "geneve": (ipv4(udp(b"\x02\0\x65\x58\0\0\5\0" + bytes(8) + ether(V4), dport=6081), protocol=17), b"four"),
    "geneve ip": (ipv4(udp(b"\0\0\x08\0\0\0\5\0" + V4, dport=6081), protocol=17), b"four"),
    "gtp": (gtp(V4), b"four"),
    "gtp ip6": (gtp(V6), b"six"),
    "gtp with sequence number": (gtp(V4, 0x32, more=bytes(4)), b"four"),
    "gtp with a further header": (gtp(V4, 0x34, more=b"\0\0\0\x85\1\0\0\0"), b"four"),
    "teredo": (datagram(V6, 3544), b"six"),
    "teredo, an answer": (datagram(b"\0\0" + bytes(6) + V6, 50000, 3544), b"six"),
    "teredo with authentication": (datagram(TEREDO + V6, 3544), b"six"),
    "teredo with both": (datagram(TEREDO + b"\0\0" + bytes(6) + V6, 3544), b"six"),
    "ayiya": (datagram(AYIYA + V6, 5072), b"six"),
    "ayiya, an answer": (datagram(AYIYA[:3] + b"\4" + AYIYA[4:] + V4, 50000, 5072), b"four"),
    "one in the other": (gre(ERSPAN, ether(vxlan(ether(ipv4(V6, protocol=41))))), b"six"),
}  # fmt: skip


def framed(packet):
    return ether(packet, 0x86DD if packet[0] >> 4 == 6 else 0x0800)


@pytest.mark.parametrize(("packet", "payload"), TUNNELS.values(), ids=TUNNELS)
def test_what_is_inside_is_found(read, check_bounds, packet, payload):
    found = read(pcap([segment(b"before"), framed(packet), segment(b"behind")]))
    assert found.payloads == [b"before", payload, b"behind"]
    assert found.counters == {}
    for batch in found.batches:
        check_bounds(batch)


def test_the_flow_is_the_inner_one(read):
    found = read(pcap([ether(gre(0x0800, V4), tags=[(0x8100, 9)])]))
    assert found.column("src_lo") == [0xFFFF_C0A8_0001]
    assert found.column("vlan") == [9]


@pytest.mark.parametrize(("packet", "payload"), TUNNELS.values(), ids=TUNNELS)
def test_a_cut_off_packet_is_survived(read, check_bounds, packet, payload):
    frame = framed(packet)
    found = read(pcap([(number, frame[:size], len(frame)) for number, size in enumerate(range(14, len(frame)))]))
    for batch in found.batches:
        check_bounds(batch)
    assert payload not in found.payloads


def test_a_tunnel_in_fragments(read):
    packet = gre(0x0800, ipv4(tcp(b"x" * 1000)))
    whole = packet[20:]
    pieces = [ipv4(whole[:800], protocol=47, fragment=0x2000), ipv4(whole[800:], protocol=47, fragment=100)]
    assert read(pcap([ether(piece) for piece in pieces])).payloads == [b"x" * 1000]


def test_fragments_in_a_tunnel(read):
    whole = tcp(b"y" * 1000)
    pieces = [ipv4(whole[:800], fragment=0x2000), ipv4(whole[800:], fragment=100)]
    frames = [ether(vxlan(ether(piece))) for piece in pieces]
    assert read(pcap([segment(b"first"), *frames])).payloads == [b"first", b"y" * 1000]


@pytest.mark.parametrize(
    ("packet", "counters"),
    [
        (gre(0x0800, b""), {"decode.gre": 1}),
        (gre(0x0806, bytes(28)), {"decode.gre": 1}),
        (gre(0x0800, V4, 0x4000), {"decode.gre": 1}),
        (gre(0x0800, V4, 0x0001), {"decode.gre": 1}),
        (gre(0x0800, V6), {"decode.gre": 1}),
        (ipv4(V6, protocol=4), {"decode.ipip": 1}),
        (ipv4(b"", protocol=41), {"decode.ip6_in_ip": 1}),
    ],
)
def test_what_is_no_tunnel_is_counted(read, packet, counters):
    assert read(pcap([ether(packet)])).counters == counters


@pytest.mark.parametrize(
    "packet",
    [
        vxlan(b"hello"),
        vxlan(ether(bytes(28), 0x0806)),
        vxlan(ether(V4), b"\0" * 8),
        vxlan(ether(V4), b"\x0c\0\0\x09\0\0\5\0", 4790),
        gtp(V4, kind=1),
        gtp(V4, 0x50),
        gtp(V4, 0x34, more=b"\0\0\0\x85\1\0\0\x85"),
        gtp(b"", 0x34, more=b"\0\0\0\x85"),
        ipv4(udp(b"\x40\0\x65\x58\0\0\5\0" + ether(V4), dport=6081), protocol=17),
        ipv4(udp(b"\0", dport=6081), protocol=17),
        datagram(b"hello", 3544),
        datagram(V4, 3544),
        datagram(TEREDO, 3544),
        datagram(AYIYA[:2] + b"\x12" + AYIYA[3:] + V6, 5072),
        datagram(AYIYA[:3] + b"\x3b" + AYIYA[4:], 5072),
    ],
)
def test_a_datagram_that_carries_none_stays_one(read, packet):
    found = read(pcap([ether(packet)]))
    assert found.payloads == [packet[28:]]
    assert found.column("protocol") == [17]


def test_tunnels_have_an_end(read):
    packet = V4
    for _ in range(MOST_TUNNELS):
        packet = ipv4(packet, protocol=4)
    assert read(pcap([ether(packet)])).payloads == [b"four"]
    found = read(pcap([ether(ipv4(packet, protocol=4))]))
    assert (found.payloads, found.counters) == ([], {"decode.ipip": 1})


@given(
    st.lists(st.sampled_from([packet for packet, _ in TUNNELS.values()]), max_size=4),
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=6),
)
def test_any_bytes_are_survived(readers, check_bounds, packets, changes):
    frames = [bytearray(framed(packet)) for packet in packets]
    for frame in frames:
        for at, value in changes:
            frame[at % len(frame)] = value
    for batch in readers(pcap([bytes(frame) for frame in frames])).batches:
        check_bounds(batch)
