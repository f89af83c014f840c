"""Frames of countermeasures, read back by Scapy and dpkt."""

import struct
import time
from dataclasses import replace

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from wire import Packet, batch_of

from sensor.frames import Frame, link_of
from sensor.framing import built, readdressed
from sensor.marks import Mark
from sensor.origins import AHEAD, answer_stamp

MARK = Mark(b"secret")
V4 = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
V6 = bytes(15) + b"\1", b"\xfe\x80" + bytes(13) + b"\2"
ETHER = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")


def links(kind, ppp):
    """The link headers that may come before IPv4 or IPv6."""
    return {
        "ethernet": bytes(Ether(dst=ETHER.dst, src=ETHER.src, type=kind)),
        "vlan": bytes(ETHER / Dot1Q(vlan=7, type=kind)),
        "qinq": bytes(ETHER / Dot1AD(vlan=7) / Dot1Q(vlan=8, prio=3, type=kind)),
        "pppoe": bytes(ETHER / PPPoE(sessionid=5, len=9999) / PPP(proto=ppp)),
        "vlan pppoe": bytes(ETHER / Dot1Q(vlan=7) / PPPoE(sessionid=5, len=0) / PPP(proto=ppp)),
        "mpls": bytes(ETHER / MPLS(label=16, s=0, ttl=9) / MPLS(label=17, s=1, ttl=9)),
    }


LINKS = [(V4, name, link) for name, link in links(0x0800, 0x21).items()]
LINKS += [(V6, name, link) for name, link in links(0x86DD, 0x57).items()]
each_link = pytest.mark.parametrize(
    ("ends", "name", "link"), LINKS, ids=lambda value: value if type(value) is str else ""
)
FRAMES = st.builds(
    lambda ends, link, *rest: Frame(link, ends[0], rest[0], ends[1], *rest[1:]),
    *(st.shared(st.sampled_from(LINKS), key="link").map(lambda one, at=at: one[at]) for at in (0, 2)),
    *(st.integers(0, (1 << bits) - 1) for bits in (16, 16, 8, 8, 32, 32)),
    st.binary(max_size=99),
    st.none() | st.tuples(*[st.integers(0, (1 << 32) - 1)] * 2),
)


def reset(ends, link, payload=b""):
    return Frame(link, ends[0], 80, ends[1], 40000, 61, 0x14, 0xFFFFFFF0, 77, payload)


def total(packed):
    """The ones' complement sum of 16-bit words."""
    padded = packed + bytes(len(packed) & 1)
    number = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while number >> 16:
        number = (number & 0xFFFF) + (number >> 16)
    return number


@each_link
def test_scapy_reads_it_back(ends, name, link):
    read = Ether(built(reset(ends, link, b"page"), MARK))
    network = read[IP if ends is V4 else IPv6]
    label, window = MARK.of(0xFFFFFFF0, 77, 80, 40000)
    assert (network.ttl if ends is V4 else network.hlim) == 61
    assert (network.id == label & 0xFFFF) if ends is V4 else (network.fl == label)
    tcp = read[TCP]
    assert (tcp.sport, tcp.dport, tcp.seq, tcp.ack, tcp.window) == (80, 40000, 0xFFFFFFF0, 77, window)
    assert str(tcp.flags) == "RA"
    assert bytes(tcp.payload) == b"page"
    if "pppoe" in name:
        assert read[PPPoE].len == len(network) + 2
    else:
        assert bytes(read).startswith(link)


@each_link
def test_scapy_would_have_made_the_same(ends, name, link):
    made = built(reset(ends, link, b"odd"), MARK)
    read = Ether(made)
    if "pppoe" in name:
        del read[PPPoE].len
    if ends is V4:
        del read[IP].chksum, read[IP].len
    else:
        del read[IPv6].plen
    del read[TCP].chksum, read[TCP].dataofs
    assert bytes(read) == made


@each_link
def test_scapy_reads_a_stamp_and_would_have_made_the_same(ends, name, link):
    made = built(replace(reset(ends, link, b"odd"), stamp=(5, 0xFFFFFFFF)), MARK)
    read = Ether(made)
    tcp = read[TCP]
    assert tcp.options == [("NOP", None), ("NOP", None), ("Timestamp", (5, 0xFFFFFFFF))]
    assert (tcp.dataofs, bytes(tcp.payload)) == (8, b"odd")
    if ends is V4:
        del read[IP].chksum, read[IP].len
    else:
        del read[IPv6].plen
    del tcp.chksum, tcp.dataofs
    assert bytes(read) == made


@given(FRAMES)
def test_checksums_hold_and_dpkt_reads_it_back(frame):
    packet = built(frame, MARK)[len(frame.link) :]
    four = len(frame.source) == 4
    assert not four or total(packet[:20]) == 0xFFFF
    segment = packet[20:] if four else packet[40:]
    assert total(frame.source + frame.target + len(segment).to_bytes(4, "big") + b"\0\0\0\6" + segment) == 0xFFFF
    read = dpkt.ip.IP(packet) if four else dpkt.ip6.IP6(packet)
    tcp = read.data
    assert (read.src, read.dst, tcp.sport, tcp.dport) == (
        frame.source, frame.target, frame.source_port, frame.target_port,
    )  # fmt: skip
    assert (tcp.seq, tcp.ack, tcp.flags & 0xFF, tcp.data) == (frame.seq, frame.ack, frame.flags, frame.payload)
    options = [] if frame.stamp is None else [(1, b""), (1, b""), (8, struct.pack("!II", *frame.stamp))]
    assert dpkt.tcp.parse_opts(tcp.opts) == options
    identification = read.id if four else read.flow
    assert MARK.is_ours(identification, tcp.win, tcp.seq, tcp.ack, tcp.sport, tcp.dport)


def test_a_gateway_gets_it():
    made = built(reset(V4, LINKS[0][2]), MARK)
    other = readdressed(made, b"\2\3\4\5\6\7")
    assert other[:6] == b"\2\3\4\5\6\7"
    assert other[6:] == made[6:]


@each_link
def test_a_link_header_is_whole_or_none(ends, name, link):
    version = 4 if ends is V4 else 6
    assert version in link_of(link).versions
    assert all(link_of(link[:cut]) is None for cut in range(len(link)))
    assert link_of(link + b"\0") is None
    assert link_of(link + bytes(20)) is None


@given(st.binary(max_size=40))
def test_any_bytes_are_a_link_header_or_not(header):
    assert link_of(header) is None or len(header) >= 14


def test_other_protocols_and_802_3_are_no_link_header_of_ours():
    ends = bytes(12)
    assert link_of(ends + b"\x08\x06") is None  # ARP
    assert link_of(ends + b"\x00\x08\xaa\xaa\x03\0\0\0\x08\x00") is None
    assert link_of(b"") is None


def test_a_frame_takes_less_than_fifty_microseconds():
    frame = reset(V6, LINKS[-1][2])
    took = []
    for _ in range(50):
        begun = time.perf_counter()
        for _ in range(20):
            built(frame, MARK)
        took.append(time.perf_counter() - begun)
    assert min(took) / 20 < 50e-6


def answered(options):
    """The stamp of what answers a segment with these options."""
    ends = ("10.0.0.1", 4000), ("10.0.0.2", 80)
    before = Packet(0, *ends, options=b"\x08\x0a" + bytes(8))
    return answer_stamp(batch_of([before, Packet(0, *ends, options=options, payload=STAMP + b"page")]), 1)


STAMP = b"\x08\x0a" + struct.pack("!II", 5, 7)
ANSWER = 7 + AHEAD, 5


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (STAMP, ANSWER),
        (b"\1\1" + STAMP, ANSWER),
        (STAMP + b"\1\1", ANSWER),
        (b"\2\4\5\xb4\4\2" + STAMP + b"\1\3\3\7", ANSWER),  # as in a SYN
        (b"\1\1" + STAMP + b"\1\1\5\x12" + bytes(16), ANSWER),  # with SACK
        (STAMP + STAMP[:2] + bytes(8), ANSWER),  # the first counts
        (b"\x08\x0a" + struct.pack("!II", 0xFFFFFFFF, 0xFFFFFFFF), (AHEAD - 1, 0xFFFFFFFF)),
        (b"", None),
        (b"\1" * 40, None),
        (b"\0" + STAMP, None),  # behind the end of the list
        (b"\5\x0a" + bytes(8), None),
        (STAMP[:-1], None),
        (b"\x08", None),
        (b"\3\0" + STAMP, None),
        (b"\3\1" + STAMP, None),
        (b"\3\x7f" + STAMP, None),
        (b"\x08\x0b" + STAMP[2:] + b"\1", None),
        (b"\x08\2" + b"\0" * 10, None),
        (b"\x08\2" + STAMP, ANSWER),
    ],
)
def test_the_stamp_of_an_answer(options, answer):
    assert answered(options) == answer


@given(st.binary(max_size=40) | st.lists(st.sampled_from([b"\0", b"\1", b"\x08", b"\x0a", STAMP])).map(b"".join))
def test_any_options(options):
    answer = answered(options)
    assert answer is None or all(0 <= one < 1 << 32 for one in answer)
    assert answer != ANSWER or STAMP in options


@given(st.lists(st.tuples(st.integers(2, 7), st.binary(max_size=6)), max_size=3))
def test_other_options_before_a_stamp_are_passed_over(others):
    before = b"".join(bytes([kind, len(payload) + 2]) + payload for kind, payload in others)
    assert answered(before) is None
    assert answered(before + STAMP) == ANSWER
