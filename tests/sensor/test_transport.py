import pytest
from capturefile import BEGAN, ether, ipv4, pcap, segment, tcp, udp

from sensor.packets import FIN, SYN, TCP, UDP, URG


def test_every_tcp_field(read):
    header = tcp(b"data", 65535, 1, 0xFFFFFFFF, 0x80000001, FIN | SYN | URG, b"\1" * 12)
    header = header[:14] + b"\xab\xcd" + header[16:18] + b"\x12\x34" + header[20:]
    found = read(pcap([ether(ipv4(header))]))
    row = {name: found.column(name)[0] for name in ("sport", "dport", "seq", "ack", "flags", "window", "urgent")}
    assert row == {
        "sport": 65535,
        "dport": 1,
        "seq": 0xFFFFFFFF,
        "ack": 0x80000001,
        "flags": FIN | SYN | URG,
        "window": 0xABCD,
        "urgent": 0x1234,
    }
    assert found.payloads == [b"data"]
    assert found.column("frame") == [16]
    assert found.column("network") == [30]
    assert found.column("transport") == [50]
    assert found.column("payload") == [50 + 32]


def test_udp_has_no_tcp_fields(read):
    found = read(pcap([ether(ipv4(udp(b"\xff" * 20, 7, 9), protocol=17)), segment(b"x")]))
    assert found.column("protocol") == [UDP, TCP]
    for name in ("seq", "ack", "flags", "window", "urgent"):
        assert found.column(name)[0] == 0
    assert found.column("sport") == [7, 40000]
    assert found.payloads == [b"\xff" * 20, b"x"]


@pytest.mark.parametrize(
    ("length", "payload", "counters"),
    [
        (12, b"abcd", {}),  # the rest is padding inside the IP datagram
        (0, b"abcdefgh", {}),
        (7, b"abcdefgh", {"udp.bad_length": 1}),
        (99, b"abcdefgh", {"udp.bad_length": 1}),
    ],
)
def test_udp_length(read, length, payload, counters):
    found = read(pcap([ether(ipv4(udp(b"abcdefgh", length=length), protocol=17))]))
    assert found.payloads == [payload]
    assert found.counters == counters


@pytest.mark.parametrize("offset", [0, 4, 7])
def test_tcp_header_that_does_not_fit(read, offset):
    found = read(pcap([ether(ipv4(tcp(b"four", offset=offset))), segment(b"next")]))
    assert found.payloads == [b"next"]
    assert found.counters == {"tcp.bad_header": 1}


def test_options_cut_by_the_snap_length(read):
    frame = ether(ipv4(tcp(b"payload", options=b"\1" * 20)))
    found = read(pcap([(BEGAN, frame[: 14 + 20 + 25], len(frame)), segment(b"next")]))
    assert found.column("length") == [0, 4]
    assert found.column("wire_length") == [7, 4]
    assert found.column("payload")[0] - found.column("transport")[0] == 25


def test_empty_payloads(read):
    assert read(pcap([segment(b""), ether(ipv4(udp(b""), protocol=17))])).payloads == [b"", b""]
