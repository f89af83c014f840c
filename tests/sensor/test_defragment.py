import struct

import pytest
from capturefile import BEGAN, ether, internet_sum, ipv4, ipv6, pcap, segment, tcp, udp

from sensor.checksums import tcp_checksum_ok
from sensor.packets import macs

DATA = bytes(range(256)) * 8


def pieces4(payload, size=512, protocol=6, number=7, options=b""):
    starts = range(0, len(payload), size)
    return [
        ipv4(
            payload[start : start + size],
            protocol=protocol,
            number=number,
            fragment=start // 8 | (0x2000 if start + size < len(payload) else 0),
            options=options,
        )
        for start in starts
    ]


def pieces6(payload, size=512, number=7, before=(44, b"")):
    following, chain = before
    out = []
    for start in range(0, len(payload), size):
        more = start + size < len(payload)
        header = struct.pack(">BBHI", 6, 0, start | more, number)
        out.append(ipv6(chain + header + payload[start : start + size], following=following))
    return out


FOUR = [ether(packet) for packet in pieces4(tcp(DATA))]
SIX = [ether(packet, 0x86DD) for packet in pieces6(tcp(DATA))]


@pytest.mark.parametrize("fragments", [FOUR, SIX], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("order", [1, -1])
def test_both_orders(read, fragments, order):
    found = read(pcap([segment(b"before"), *fragments[::order], segment(b"behind")]))
    assert found.payloads == [b"before", DATA, b"behind"]
    assert found.counters == {"ip.fragments": len(fragments)}
    count = len(fragments)
    assert found.column("time") == [BEGAN, BEGAN + count * 1_000_000, BEGAN + (count + 1) * 1_000_000]


@pytest.mark.parametrize("batch_bytes", [200, 1500, 1 << 20])
def test_over_batches(read, batch_bytes):
    frames = [frame for pair in zip(FOUR, SIX, [segment(b"x")] * 5, strict=True) for frame in pair]
    found = read(pcap(frames), batch_bytes=batch_bytes)
    assert found.payloads == [b"x"] * 4 + [DATA, DATA, b"x"]


def test_rebuilt_header(read):
    """Its lengths and checksum are those of a datagram that was never cut."""
    found = read(pcap([ether(packet) for packet in pieces4(tcp(DATA), options=b"\1" * 8)]))
    (batch,) = found.batches
    network = int(batch.network[0])
    assert bytes(batch.buffer[network : network + 28]) == ipv4(tcp(DATA), number=7, options=b"\1" * 8)[:28]
    assert internet_sum(bytes(batch.buffer[network : network + 28])) == 0
    assert network >= sum(16 + len(frame) for frame in FOUR)  # behind what was read
    assert macs(batch, 0)[0] == bytes.fromhex("02000000000a")


def test_checksum_of_the_whole(read):
    whole = tcp(DATA)
    pseudo = bytes([10, 0, 0, 1, 10, 0, 0, 2, 0, 6]) + struct.pack(">H", len(whole))
    right = tcp(DATA, sum_=internet_sum(pseudo + whole))
    (batch,) = read(pcap([ether(packet) for packet in pieces4(right)])).batches
    assert tcp_checksum_ok(batch, 0)


def test_udp(read):
    found = read(pcap([ether(packet) for packet in pieces4(udp(DATA), protocol=17)]))
    assert found.payloads == [DATA]


def test_headers_before_and_behind_the_fragment_header(read):
    behind = bytes([6, 0]) + bytes(6) + tcp(DATA)  # destination options, cut up with the rest
    frames = pieces6(behind, before=(0, bytes([44, 0]) + bytes(6)))
    frames = [packet[:48] + b"\x3c" + packet[49:] for packet in frames]
    assert read(pcap([ether(packet, 0x86DD) for packet in frames])).payloads == [DATA]


def test_same_number_in_another_vlan_is_another_datagram(read):
    mine, other = pieces4(tcp(DATA)), pieces4(tcp(DATA[::-1]))
    frames = [ether(mine[0], tags=[(0x8100, 1)])]
    frames += [ether(packet, tags=[(0x8100, 2)]) for packet in other]
    frames += [ether(packet, tags=[(0x8100, 1)]) for packet in mine[1:]]
    found = read(pcap(frames))
    assert found.payloads == [DATA[::-1], DATA]
    assert found.column("vlan") == [2, 1]


def test_same_number_of_another_protocol_is_another_datagram(read):
    frames = pieces4(tcp(DATA))[:-1] + pieces4(udp(DATA), protocol=17) + pieces4(tcp(DATA))[-1:]
    assert read(pcap([ether(packet) for packet in frames])).payloads == [DATA, DATA]


def test_a_fragment_cut_by_the_snap_length_is_of_no_use(read):
    frames = [(BEGAN, FOUR[0][:100], len(FOUR[0])), *FOUR[1:]]
    found = read(pcap(frames))
    assert found.payloads == []
    assert found.counters["ip.fragment_cut"] == 1
    assert found.counters["ip.fragments_unfinished"] == 1


def test_many_datagrams_in_one_batch(read):
    frames = []
    for number in range(50):
        cut = pieces4(tcp(b"%d" % number * 300, seq=number), number=number)
        frames += [ether(packet) for packet in cut]
    found = read(pcap(frames))
    assert found.payloads == [b"%d" % number * 300 for number in range(50)]
    assert found.column("seq") == list(range(50))
